import { type Actor, CloudError } from '@aaas/core-cloud/kernel'

/**
 * What may be read from a site by everybody who may see it, and the scope that the site asks for it. The list is closed:
 * a call gets the one scope of its method and nothing else, so a scope that also writes does no harm here.
 */
const reads: Readonly<Record<string, readonly string[]>> = {
  'business.order.list': ['order.read'],
  'business.order.get': ['order.read'],
  'business.inventory.levels': ['stock.read'],
  'business.ledger.balances': ['ledger.read'],
  'business.ledger.check': ['ledger.read'],
  'business.catalogue.listProducts': [],
  'business.catalogue.getProduct': [],
  'site.shop-admin.consoleViews': ['site.admin'],
  'site.shop-admin.listApiKeys': ['site.admin'],
  'site.shop-admin.checkInvariants': ['site.admin'],
}

/** What a scope of the platform is worth inside a site. Making credentials (`site.admin`) needs everything (`*`). */
const worth: Readonly<Record<string, readonly string[]>> = {
  'site.read': ['order.read', 'stock.read', 'ledger.read'],
  'site.operate': ['order.write', 'stock.write', 'party.write'],
  'site.write': ['catalogue.write'],
}

/**
 * Scopes of one reading call.
 * @throws CloudError `core.contract.forbidden` for a method that is not known to read only.
 */
export function readingScopes(contract: string, method: string): readonly string[] {
  const label = `${contract}.${method}`
  const scopes = Object.hasOwn(reads, label) ? reads[label] : undefined
  if (scopes === undefined)
    throw new CloudError('core.contract.forbidden', `${label} is not a reading method`, { field: 'method' })
  return scopes
}

export function isReading(contract: string, method: string): boolean {
  return Object.hasOwn(reads, `${contract}.${method}`)
}

/** Fields that say which thing a call was about. Nothing else of its input is kept: it may hold personal data. */
const telling = ['number', 'sku', 'delta', 'keyId', 'reason'] as const

/** A call in a line for the audit log. */
export function describeCall(call: {
  readonly contract: string
  readonly method: string
  readonly input: unknown
}): string {
  const fields =
    typeof call.input === 'object' && call.input !== null ? (call.input as Readonly<Record<string, unknown>>) : {}
  const said = telling.flatMap(name =>
    typeof fields[name] === 'string' || typeof fields[name] === 'number' ? [`${name} ${fields[name]}`] : [],
  )
  return [`${call.contract}.${call.method}`, ...said].join(' ').slice(0, 300)
}

/** Scopes of a caller inside a site. The platform itself, which has no actor, may do everything. */
export function siteScopes(actor: Actor | undefined): readonly string[] {
  if (actor === undefined || actor.scopes.includes('*')) return ['*']
  return actor.scopes.flatMap(scope => (Object.hasOwn(worth, scope) ? (worth[scope] ?? []) : []))
}
