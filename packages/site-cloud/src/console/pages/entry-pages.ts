import { html, page } from '../layout.js'
import type { SignedView, View } from '../view.js'

export function loginPage(
  view: View,
  options: { readonly next: string; readonly problem?: string; readonly name?: string },
): string {
  const { texts } = view
  return page(
    view,
    texts.logIn,
    html`<section class="card narrow">
  <h1>${texts.logIn}</h1>
  ${options.problem === undefined ? '' : html`<p class="notice bad" role="alert">${options.problem}</p>`}
  <form method="post" action="/login" class="stack">
    <input type="hidden" name="next" value="${options.next}">
    <label>${texts.name} <input name="name" autocomplete="username" autocapitalize="none" required maxlength="64" value="${options.name ?? ''}" autofocus></label>
    <label>${texts.password} <input name="password" type="password" autocomplete="current-password" required maxlength="200"></label>
    <button class="main">${texts.logIn}</button>
  </form>
  <p class="hint">${texts.firstPassword} <code>secrets/admin-password</code></p>
</section>`,
  )
}

/** Says what went wrong: for a person, with the code and field for whoever looks it up. */
export function errorPage(
  view: View | SignedView,
  options: { readonly status: number; readonly text: string; readonly code?: string; readonly field?: string },
): string {
  const { status, text, code, field } = options
  return page(
    view,
    String(status),
    html`<section class="card narrow"><h1>${status}</h1><p class="notice bad" role="alert">${text}</p>
${code === undefined ? '' : html`<p class="hint"><code>${code}</code>${field === undefined || field === '' ? '' : html` · <code data-testid="field">${field}</code>`}</p>`}
<p><a href="/">${view.texts.back}</a></p></section>`,
  )
}
