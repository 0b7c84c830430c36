import { type CallOptions, CloudError, type Ids } from '@aaas/core-cloud/kernel'
import type { Texts } from './texts/texts.js'
import type { Center } from './view.js'

interface ActionCall {
  readonly center: Center
  readonly call: CallOptions
  readonly site: string
  readonly form: URLSearchParams
  readonly ids: Ids
}

interface Done {
  /** Page to show afterwards, below the site's own. */
  readonly to: string
  readonly text: keyof Texts['done']
  /** Something that the next page shows once, after the text. */
  readonly secret?: string
}

export interface SiteAction {
  /** Asked of the session before anything else; the site centre and the site ask for their own. */
  readonly scope: string
  readonly run: (call: ActionCall) => Promise<Done>
}

/** What a form of a site's page can do, by the last part of its path. */
export const siteActions: Readonly<Record<string, SiteAction>> = {
  scale: operation('', 'scale', ({ center, call, site, form }) =>
    center.scale({ site, instances: wholeNumber(form, 'instances') }, call),
  ),
  restart: operation('', 'restart', ({ center, call, site }) => center.restart({ site }, call)),
  maintenance: operation('', 'maintenance', ({ center, call, site, form }) =>
    center.setMaintenance({ site, on: oneOf(form, 'on', ['true', 'false']) === 'true' }, call),
  ),
  deploy: operation('?tab=versions', 'deploy', ({ center, call, site, form }) =>
    center.deploy({ site, version: wholeNumber(form, 'version') }, call),
  ),
  rollback: operation('?tab=versions', 'rollback', ({ center, call, site }) => center.rollback({ site }, call)),
  'add-cloudware': operation('?tab=cloudware', 'addCloudware', ({ center, call, site, form }) =>
    center.addCloudware({ site, digest: text(form, 'digest') }, call),
  ),
  'remove-cloudware': operation('?tab=cloudware', 'removeCloudware', ({ center, call, site, form }) =>
    center.removeCloudware({ site, name: text(form, 'name') }, call),
  ),
  'adjust-stock': operation('?tab=stock', 'adjust', ({ center, call, site, form, ids }) => {
    const input = {
      movementId: ids.uuid(),
      sku: text(form, 'sku'),
      delta: wholeNumber(form, 'delta'),
      reason: text(form, 'reason'),
    }
    return center.callSite({ site, contract: 'business.inventory', method: 'adjust', input }, call)
  }),
  'ship-order': orderAction('ship', form => ({
    carrier: text(form, 'carrier'),
    trackingNumber: text(form, 'trackingNumber'),
  })),
  'complete-order': orderAction('complete', () => ({})),
  'refund-order': orderAction('refund', form => ({ reason: text(form, 'reason') })),
  'cancel-order': orderAction('cancel', () => ({})),
  'create-key': {
    scope: '*',
    run: async ({ center, call, site, form }) => {
      const input = {
        name: text(form, 'name'),
        scopes: form.getAll('scopes'),
        requestsPerSecond: wholeNumber(form, 'requestsPerSecond'),
      }
      const { output } = await center.callSite(
        { site, contract: 'site.shop-admin', method: 'createApiKey', input },
        call,
      )
      return { to: '?tab=keys', text: 'keyCreated', secret: (output as { apiKey: string }).apiKey }
    },
  },
  'revoke-key': {
    scope: '*',
    run: async ({ center, call, site, form }) => {
      await center.callSite(
        { site, contract: 'site.shop-admin', method: 'revokeApiKey', input: { keyId: text(form, 'keyId') } },
        call,
      )
      return { to: '?tab=keys', text: 'revoke' }
    },
  },
}

function operation(to: string, done: keyof Texts['done'], work: (call: ActionCall) => Promise<unknown>): SiteAction {
  return {
    scope: 'site.operate',
    run: async call => {
      await work(call)
      return { to, text: done }
    },
  }
}

/** A transition of one order; afterwards its page is shown again. */
function orderAction(
  method: 'ship' | 'complete' | 'refund' | 'cancel',
  more: (form: URLSearchParams) => object,
): SiteAction {
  return {
    scope: 'site.operate',
    run: async ({ center, call, site, form }) => {
      const number = text(form, 'number')
      await center.callSite({ site, contract: 'business.order', method, input: { number, ...more(form) } }, call)
      return { to: `/orders/${encodeURIComponent(number)}`, text: 'order' }
    },
  }
}

function text(form: URLSearchParams, name: string): string {
  const value = form.get(name)?.trim() ?? ''
  if (value === '') throw new CloudError('core.contract.invalid-input', `${name} is missing`, { field: name })
  return value
}

function oneOf<T extends string>(form: URLSearchParams, name: string, values: readonly T[]): T {
  const value = values.find(one => one === form.get(name))
  if (value === undefined)
    throw new CloudError('core.contract.invalid-input', `${name} must be one of ${values.join(', ')}`, { field: name })
  return value
}

function wholeNumber(form: URLSearchParams, name: string): number {
  const value = Number(text(form, name))
  if (!Number.isSafeInteger(value))
    throw new CloudError('core.contract.invalid-input', `${name} must be a whole number`, { field: name })
  return value
}
