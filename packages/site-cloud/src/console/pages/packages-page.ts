import type { Handlers } from '@aaas/core-cloud/contract'
import type { CallContext } from '@aaas/core-cloud/kernel'
import type { siteCenterContract } from '../../site-center/site-center-contract.js'
import { emptyState, html, instant, type Markup } from '../layout.js'

/** Stored packages with the extension points they offer and the hooks they use. */
export async function packagesPage(center: Handlers<typeof siteCenterContract>, context: CallContext): Promise<Markup> {
  const { packages } = await center.listPackages({}, context)
  return html`<h1>Packages</h1>
<section class="card" data-testid="packages">${
    packages.length === 0
      ? emptyState('No package was uploaded yet.')
      : html`<div class="scroll"><table><thead><tr><th>Package</th><th>Kind</th><th>Signed by</th><th>Offers</th><th>Uses</th><th class="number">Size</th><th>Uploaded</th><th>Digest</th></tr></thead><tbody>
${packages.map(
  one => html`<tr>
  <td><strong>${one.name}</strong> ${one.version}${one.description === undefined ? '' : html`<br><small>${one.description}</small>`}</td>
  <td>${one.kind}</td><td>${one.publisher}</td>
  <td>${one.extensionPoints.map(point => html`<code>${point}</code> `)}</td>
  <td>${one.hooks.map(hook => html`<code>${hook}</code> `)}</td>
  <td class="number">${Math.ceil(one.bytes / 1024)} KB</td>
  <td>${instant(one.uploadedAt)}</td>
  <td><code title="${one.digest}">${one.digest.slice(0, 12)}</code></td>
</tr>`,
)}
</tbody></table></div>`
  }</section>`
}
