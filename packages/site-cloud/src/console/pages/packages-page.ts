import { bytes } from '../format.js'
import { dataTable, emptyState, html, instant, type Markup } from '../layout.js'
import type { SignedView } from '../view.js'

/** Stored packages with the extension points they offer and the hooks they use. */
export async function packagesPage({ center, call, texts }: SignedView): Promise<Markup> {
  const { packages } = await center.listPackages({}, call)
  const codes = (names: readonly string[]): Markup =>
    html`<span class="codes">${names.map(name => html`<code>${name}</code> `)}</span>`
  return html`<h1>${texts.packages}</h1>
<section class="card" data-testid="packages">${
    packages.length === 0
      ? emptyState(texts.noPackages)
      : dataTable(
          [
            { label: texts.package },
            { label: texts.kind },
            { label: texts.signedBy },
            { label: texts.offers },
            { label: texts.uses },
            { label: texts.size, number: true },
            { label: texts.uploaded },
            { label: texts.digest },
          ],
          packages.map(one => ({
            cells: [
              html`<strong>${one.name}</strong> ${one.version}${one.description === undefined ? '' : html`<br><small>${one.description}</small>`}`,
              one.kind,
              one.publisher,
              one.extensionPoints.length === 0 ? '–' : codes(one.extensionPoints),
              one.hooks.length === 0 ? '–' : codes(one.hooks),
              bytes(one.bytes),
              instant(one.uploadedAt),
              html`<code title="${one.digest}">${one.digest.slice(0, 12)}</code>`,
            ],
          })),
        )
  }</section>`
}
