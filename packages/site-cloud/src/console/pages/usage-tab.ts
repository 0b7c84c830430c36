import { bytes, count, duration } from '../format.js'
import { emptyState, figures, html, type Markup } from '../layout.js'
import type { Language, Texts } from '../texts/texts.js'
import type { Tab } from './tab.js'

/** What the site used, summed from the metering counters. */
export async function usageTab({ site, center, call, texts, language }: Tab): Promise<Markup> {
  const { counters, readings } = await center.usage({ site: site.site }, call)
  const rows = Object.entries(counters)
  return html`<section class="card" data-testid="usage"><h2>${texts.usage}</h2>
${
  rows.length === 0
    ? emptyState(texts.noUsage)
    : html`${figures(rows.map(([name, total]) => ({ label: labelOf(name, texts), value: amountOf(name, total, language) })))}
<p class="hint">${texts.usageIntro(readings)}</p>`
}</section>`
}

function labelOf(name: string, texts: Texts): string {
  return Object.hasOwn(texts.counters, name) ? texts.counters[name as keyof Texts['counters']] : name
}

/** Counters say their unit in their name. */
function amountOf(name: string, total: number, language: Language): string {
  if (/Bytes(In|Out)?$/.test(name)) return bytes(total)
  if (name.endsWith('Ms')) return duration(total)
  if (name.endsWith('KibSeconds')) return `${bytes((total * 1024) / 3600)}·h`
  return count(total, language)
}
