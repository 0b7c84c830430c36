import { type ConsoleUser, roles } from '../console-users.js'
import { actionForm, dataTable, html, instant, type Markup } from '../layout.js'
import type { SignedView } from '../view.js'

/** People of the console; for administrators. */
export function usersPage(view: SignedView, users: readonly ConsoleUser[]): Markup {
  const { texts, session } = view
  return html`<h1>${texts.users}</h1>
<section class="card" data-testid="users">${dataTable(
    [
      { label: texts.name },
      { label: texts.role },
      { label: texts.created },
      { label: texts.newPassword },
      { label: '' },
    ],
    users.map(user => ({
      cells: [
        html`<strong>${user.name}</strong>${user.name === session.user ? html` <small>(${texts.you})</small>` : ''}`,
        actionForm(view, {
          action: '/users/role',
          label: texts.setRole,
          fields: { name: user.name },
          inputs: roleChoice(view, user.role),
        }),
        instant(user.createdAt),
        actionForm(view, {
          action: '/users/password',
          label: texts.giveNewPassword,
          fields: { name: user.name },
          confirm: texts.askPassword(user.name),
        }),
        actionForm(view, {
          action: '/users/remove',
          label: texts.remove,
          fields: { name: user.name },
          tone: 'danger',
          confirm: texts.askRemoveUser(user.name),
        }),
      ],
    })),
  )}</section>
<section class="card"><h2>${texts.newUser}</h2>${actionForm(view, {
    action: '/users/create',
    label: texts.createUser,
    tone: 'main',
    inputs: html`<label>${texts.name} <input name="name" required maxlength="64" pattern="[a-z0-9][a-z0-9._@\\-]*" autocomplete="off"></label>
<label>${texts.role} ${roleChoice(view, 'viewer')}</label>
<label>${texts.password} <small>${texts.passwordRule}</small> <input name="password" type="password" minlength="12" maxlength="200" autocomplete="new-password"></label>`,
  })}
<dl class="facts">${roles.map(role => html`<div><dt>${texts.roles[role]}</dt><dd>${texts.roleMeans[role]}</dd></div>`)}</dl></section>`
}

function roleChoice({ texts }: SignedView, chosen: string): Markup {
  return html`<select name="role" aria-label="${texts.role}">${roles.map(
    role => html`<option value="${role}"${role === chosen ? html` selected` : ''}>${texts.roles[role]}</option>`,
  )}</select>`
}

/** One's own account. */
export function accountPage(view: SignedView): Markup {
  const { texts, session } = view
  const field = (label: string, name: string, complete: string, least: number): Markup =>
    html`<label>${label} <input name="${name}" type="password" required minlength="${least}" maxlength="200" autocomplete="${complete}"></label>`
  return html`<section class="card narrow"><h1>${texts.account}</h1>
<p class="lead"><strong>${session.user}</strong> · ${texts.roles[session.role]}: ${texts.roleMeans[session.role]}</p>
<h2>${texts.changePassword}</h2>
<form method="post" action="/account/password" class="stack"><input type="hidden" name="csrf" value="${session.csrf}">
${field(texts.oldPassword, 'old', 'current-password', 1)}${field(texts.newPassword, 'password', 'new-password', 12)}${field(texts.repeatPassword, 'repeat', 'new-password', 12)}
<button class="main">${texts.changePassword}</button></form></section>`
}
