import { html, type Markup, page } from '../layout.js'

export function loginPage(options: { readonly next: string; readonly problem?: string; readonly name?: string }): Markup {
  return page(
    undefined,
    'Log in',
    html`<section class="card narrow">
  <h1>Log in</h1>
  ${options.problem === undefined ? '' : html`<p class="notice bad" role="alert">${options.problem}</p>`}
  <form method="post" action="/login" class="stack">
    <input type="hidden" name="next" value="${options.next}">
    <label>Name <input name="name" autocomplete="username" required maxlength="80" value="${options.name ?? ''}" autofocus></label>
    <label>Password <input name="password" type="password" autocomplete="current-password" required maxlength="200"></label>
    <button class="main">Log in</button>
  </form>
  <p class="hint">The password of <code>admin</code> was written to <code>secrets/admin-password</code> in the data directory when the platform first started.</p>
</section>`,
  )
}

export function errorPage(status: number, text: string, code?: string): Markup {
  return page(
    undefined,
    String(status),
    html`<section class="card narrow"><h1>${status}</h1><p role="alert">${text}</p>${code === undefined ? '' : html`<p class="hint"><code>${code}</code></p>`}
  <p><a href="/">Back to the overview</a></p></section>`,
  )
}
