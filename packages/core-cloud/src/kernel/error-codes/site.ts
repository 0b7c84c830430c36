import type { ErrorCodeTable } from './entry.js'

/** Codes thrown by layer 4. */
export const siteErrorCodes = {
  'site.template.unknown': { status: 404, text: 'No such template.' },
  'site.template.invalid-capacity': {
    status: 500,
    text: 'The file with the measured capacity of a template is not what `aaas template measure` writes.',
  },
  'site.template.unmeasurable': {
    status: 422,
    text: 'The template cannot be measured on this machine; the message says why.',
  },
  'site.factory.invalid-site': { status: 400, text: 'site.json does not fit the schema; `field` names the place.' },
  'site.factory.impossible-performance': {
    status: 422,
    text: 'The asked performance is beyond what this template can be sized for here.',
  },
  'site.center.unknown-site': { status: 404, text: 'No such site.' },
  'site.center.unknown-version': { status: 404, text: 'The site has no such version.' },
  'site.center.unknown-cloudware': { status: 404, text: 'The site has no cloudware of this name.' },
  'site.center.conflict': { status: 409, text: 'The site is in a state that does not allow this now.' },
  'site.center.host-unavailable': { status: 503, retryable: true, text: 'No host agent is connected.' },
  'site.center.timeout': { status: 504, retryable: true, text: 'The wait ended before the site got there.' },
  'site.console.bad-login': { status: 401, text: 'Name or password is wrong.' },
  'site.console.unknown-user': { status: 404, text: 'The console has no user of this name.' },
  'site.console.user-exists': { status: 409, text: 'The console has a user of this name already.' },
  'site.console.last-admin': { status: 409, text: 'The last administrator cannot be removed or given another role.' },
  'site.console.csrf': { status: 403, text: 'The form is stale or came from another site.' },
  'site.prove.not-met': { status: 422, text: 'The site does not do what was asked; the figures say where.' },
  'site.shop.forged-form': { status: 403, text: 'The form is stale or was not sent by a page of the shop.' },
  'site.open-api.invalid-key': { status: 401, text: 'The API key is missing, wrong or revoked.' },
} as const satisfies ErrorCodeTable
