import type { Handlers } from '@aaas/core-cloud/contract'
import { type CallContext, CloudError, type Ids } from '@aaas/core-cloud/kernel'
import type { siteCenterContract } from '../site-center/site-center-contract.js'

interface ActionCall {
  readonly center: Handlers<typeof siteCenterContract>
  readonly context: CallContext
  readonly site: string
  readonly form: URLSearchParams
  readonly ids: Ids
}

interface Action {
  readonly scope: string
  /** Tab to show afterwards; empty: the first. */
  readonly tab: string
  readonly run: (call: ActionCall) => Promise<unknown>
}

/** What a form of a site's page can do, by the last part of its path. */
export const actions: Readonly<Record<string, Action | undefined>> = {
  scale: {
    scope: 'site.operate',
    tab: '',
    run: ({ center, context, site, form }) => {
      const instances = wholeNumber(form, 'instances')
      if (instances < 1 || instances > 64) throw new CloudError('core.contract.invalid-input', 'instances: 1 to 64', { field: 'instances' })
      return center.scale({ site, instances }, context)
    },
  },
  restart: { scope: 'site.operate', tab: '', run: ({ center, context, site }) => center.restart({ site }, context) },
  maintenance: {
    scope: 'site.operate',
    tab: '',
    run: ({ center, context, site, form }) => center.setMaintenance({ site, on: form.get('on') === 'true' }, context),
  },
  deploy: {
    scope: 'site.operate',
    tab: 'versions',
    run: ({ center, context, site, form }) => center.deploy({ site, version: wholeNumber(form, 'version') }, context),
  },
  rollback: { scope: 'site.operate', tab: 'versions', run: ({ center, context, site }) => center.rollback({ site }, context) },
  'remove-cloudware': {
    scope: 'site.operate',
    tab: 'cloudware',
    run: ({ center, context, site, form }) => center.removeCloudware({ site, name: form.get('name') ?? '' }, context),
  },
  'add-cloudware': {
    scope: 'site.operate',
    tab: 'cloudware',
    run: ({ center, context, site, form }) => center.addCloudware({ site, digest: form.get('digest') ?? '' }, context),
  },
  'adjust-stock': {
    scope: 'site.operate',
    tab: 'stock',
    run: ({ center, context, site, form, ids }) =>
      center.callSite(
        {
          site,
          contract: 'business.inventory',
          method: 'adjust',
          input: { movementId: ids.uuid(), sku: form.get('sku') ?? '', delta: wholeNumber(form, 'delta'), reason: form.get('reason') || 'console' },
        },
        context,
      ),
  },
  'ship-order': {
    scope: 'site.operate',
    tab: 'orders',
    run: ({ center, context, site, form }) =>
      center.callSite(
        {
          site,
          contract: 'business.order',
          method: 'ship',
          input: { number: form.get('number') ?? '', carrier: form.get('carrier') || 'SF Express', trackingNumber: form.get('trackingNumber') || '-' },
        },
        context,
      ),
  },
  'refund-order': {
    scope: 'site.operate',
    tab: 'orders',
    run: ({ center, context, site, form }) =>
      center.callSite(
        { site, contract: 'business.order', method: 'refund', input: { number: form.get('number') ?? '', reason: 'refunded in the console' } },
        context,
      ),
  },
}

function wholeNumber(form: URLSearchParams, name: string): number {
  const value = Number(form.get(name) ?? '')
  if (form.get(name) === null || form.get(name) === '' || !Number.isSafeInteger(value)) {
    throw new CloudError('core.contract.invalid-input', `${name} must be a whole number`, { field: name })
  }
  return value
}
