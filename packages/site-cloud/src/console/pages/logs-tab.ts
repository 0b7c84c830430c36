import { dataTable, emptyState, html, instant, type Markup } from '../layout.js'
import type { Tab } from './tab.js'

const levels = ['debug', 'info', 'warn', 'error'] as const
const pageLines = 200

/** Lines of every instance, running or gone, searchable. */
export async function logsTab({ site, query, center, call, texts }: Tab): Promise<Markup> {
  const level = levels.find(one => one === query.level)
  const before = Number(query.before)
  const { records } = await center.logs(
    {
      site: site.site,
      limit: pageLines,
      ...(query.text ? { text: query.text.slice(0, 200) } : {}),
      ...(query.instance ? { instance: query.instance.slice(0, 64) } : {}),
      ...(level === undefined ? {} : { level }),
      ...(query.before && Number.isSafeInteger(before) ? { before } : {}),
    },
    call,
  )
  const last = records.at(-1)
  return html`<section class="card" data-testid="logs"><h2>${texts.logs}</h2>
<form class="actions" method="get" action="/sites/${site.site}">
  <input type="hidden" name="tab" value="logs">
  <label>${texts.contains} <input name="text" type="search" value="${query.text ?? ''}" maxlength="200"></label>
  <label>${texts.instance} <input name="instance" value="${query.instance ?? ''}" maxlength="64" list="instances"></label>
  <datalist id="instances">${site.instances.map(one => html`<option value="${one.id}">`)}</datalist>
  <label>${texts.level} <select name="level"><option value="">${texts.anyLevel}</option>${levels.map(
    one => html`<option${one === level ? html` selected` : ''}>${one}</option>`,
  )}</select></label>
  <button>${texts.search}</button>
</form>
<div class="logs compact">${
    records.length === 0
      ? emptyState(texts.noLines)
      : dataTable(
          [{ label: texts.when }, { label: texts.level }, { label: texts.instance }, { label: texts.message }],
          records.map(record => ({
            tone: record.level,
            cells: [
              instant(record.at),
              html`<span class="level">${record.level}</span>`,
              html`<code>${record.instance}</code>`,
              html`<span class="message">${record.message}</span>${fieldsOf(record.fields)}`,
            ],
          })),
        )
  }</div>
${last === undefined || records.length < pageLines ? '' : html`<p class="pager">${olderLink(site.site, query, last.at, texts.older)}</p>`}</section>`
}

function fieldsOf(fields: Readonly<Record<string, unknown>>): Markup | '' {
  if (Object.keys(fields).length === 0) return ''
  return html`<br><code class="fields">${JSON.stringify(fields).slice(0, 1000)}</code>`
}

function olderLink(site: string, query: Readonly<Record<string, string>>, before: number, label: string): Markup {
  const params = new URLSearchParams({ ...query, tab: 'logs', before: String(before) })
  return html`<a href="/sites/${site}?${params.toString()}">${label}</a>`
}
