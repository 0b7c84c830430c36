import { emptyState, html, instant, type Markup } from '../layout.js'
import type { Tab } from './site-page.js'

const levels = ['debug', 'info', 'warn', 'error'] as const

/** Lines of every instance, running or gone, searchable. */
export async function logsTab({ view, query, center, context }: Tab): Promise<Markup> {
  const level = levels.find(one => one === query.level)
  const { records } = await center.logs(
    {
      site: view.site,
      limit: 200,
      ...(query.text ? { text: query.text.slice(0, 200) } : {}),
      ...(query.instance ? { instance: query.instance.slice(0, 64) } : {}),
      ...(level === undefined ? {} : { level }),
    },
    context,
  )
  return html`<section class="card" data-testid="logs"><h2>Logs</h2>
<form class="actions" method="get">
  <input type="hidden" name="tab" value="logs">
  <label>Contains <input name="text" value="${query.text ?? ''}" maxlength="200"></label>
  <label>Instance <input name="instance" value="${query.instance ?? ''}" maxlength="64" list="instances"></label>
  <datalist id="instances">${view.instances.map(one => html`<option value="${one.id}">`)}</datalist>
  <label>Level <select name="level"><option value="">all</option>${levels.map(one => html`<option${one === level ? html` selected` : ''}>${one}</option>`)}</select></label>
  <button>Search</button>
</form>
${
  records.length === 0
    ? emptyState('No line fits.')
    : html`<div class="scroll"><table class="logs"><thead><tr><th>When</th><th>Level</th><th>Instance</th><th>Message</th></tr></thead><tbody>${records.map(
        record => html`<tr class="${record.level}"><td>${instant(record.at)}</td><td>${record.level}</td><td><code>${record.instance}</code></td>
<td>${record.message}${Object.keys(record.fields).length === 0 ? '' : html`<br><code class="fields">${JSON.stringify(record.fields).slice(0, 1000)}</code>`}</td></tr>`,
      )}</tbody></table></div>`
}</section>`
}
