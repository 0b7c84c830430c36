import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Ids } from '../../kernel/ids.js'
import type { Reading, ReadingSpool } from '../../metering/index.js'
import type { BusIdentity } from '../link.js'
import { TenantAccount } from './quota-account.js'
import { type BusQuota, checkLimits, type TenantLimits } from './quota-limits.js'

/** Counts and limits what tenants use, and hands cumulative readings to the metering. */
export interface QuotaDesk extends AsyncDisposable {
  /** @returns undefined for a connection that belongs to no tenant. */
  open(identity: BusIdentity): BusQuota | undefined
  /** The same by the tenant's name. @throws CloudError `core.bus.quota-exceeded` when there are too many tenants. */
  openTenant(tenant: string): BusQuota
  /** Takes the limits of a tenant anew from `limitsOf`; what it holds beyond lower ones stays, nothing is added. */
  refresh(tenant: string): void
  /** A reading of every tenant with something new since the last one. */
  readings(): Reading[]
  /**
   * For people and metrics, by tenant: the sums of the readings and, as they are now, `inFlight`, `subscriptions`,
   * `retainedBytes`. A tenant without anything open is forgotten with its next reading and begins at zero again.
   */
  usage(): ReadonlyMap<string, Readonly<Record<string, number>>>
}

export interface QuotaDeskOptions {
  /** What measures, such as `hub-1`; unique on the platform. */
  readonly source: string
  /** @returns undefined: counted, not limited. Called when a tenant's first connection opens. */
  readonly limitsOf: (tenant: string) => TenantLimits | undefined
  /** Default: the name of an identity of kind `site`; others belong to no tenant. */
  readonly tenantOf?: (identity: BusIdentity) => string | undefined
  readonly clock: Clock
  readonly ids: Ids
  /** Takes the readings every `sampleMs`; default nobody, and the owner asks for them. */
  readonly spool?: ReadingSpool
  /** Default 10_000. */
  readonly sampleMs?: number
  /** Tenants with something open or unbooked at a time; default 10_000. */
  readonly maxTenants?: number
}

/**
 * One desk per hub, or per process where the bus below enforces nothing. Counters since the epoch began, in the form of
 * `@aaas/core-cloud/metering`: `busMessages` (sent, calls included), `busBytesIn` (sent), `busBytesOut` (received),
 * `busRefused`, `busRetainedKibSeconds` (bytes kept times time, in KiB and seconds).
 * @throws CloudError `core.kernel.invalid-config` from `open` and `refresh` when a limit is out of its range (`field`).
 */
export function quotaDesk(options: QuotaDeskOptions): QuotaDesk {
  const { source, clock, ids, spool, sampleMs = 10_000, maxTenants = 10_000 } = options
  const tenantOf = options.tenantOf ?? (({ kind, name }) => (kind === 'site' ? name : undefined))
  const accounts = new Map<string, TenantAccount>()
  const now = (): number => Math.floor(clock.monotonic())

  const accountOf = (tenant: string): TenantAccount => {
    const known = accounts.get(tenant)
    if (known !== undefined) return known
    if (accounts.size >= maxTenants) throw crowded(tenant, maxTenants)
    const limits = checkLimits(options.limitsOf(tenant) ?? {})
    const account = new TenantAccount({ tenant, epoch: ids.uuid(), limits, now })
    accounts.set(tenant, account)
    return account
  }
  const readings = (): Reading[] => {
    const found: Reading[] = []
    for (const [tenant, account] of accounts) {
      const next = account.read()
      if (next !== undefined) found.push({ source, site: tenant, epoch: account.epoch, at: clock.now(), ...next })
      // Everything was read and nothing is owed or held: should it come back, a new epoch begins.
      if (account.idle) accounts.delete(tenant)
    }
    return found
  }
  let stopTimer: () => void = () => undefined
  const sample = async (): Promise<void> => {
    for (const reading of readings()) spool?.put(reading)
    await spool?.flush()
  }
  const schedule = (): void => {
    stopTimer = clock.after(sampleMs, () => {
      schedule()
      void sample()
    })
  }
  if (spool !== undefined) schedule()

  return {
    open(identity) {
      const tenant = tenantOf(identity)
      return tenant === undefined ? undefined : accountOf(tenant).open()
    },
    openTenant: tenant => accountOf(tenant).open(),
    refresh: tenant => accounts.get(tenant)?.change(checkLimits(options.limitsOf(tenant) ?? {})),
    readings,
    usage: () => new Map([...accounts].map(([tenant, account]) => [tenant, account.usage()])),
    async [Symbol.asyncDispose]() {
      stopTimer()
      if (spool !== undefined) await sample()
    },
  }
}

function crowded(tenant: string, limit: number): CloudError {
  return new CloudError('core.bus.quota-exceeded', `at most ${limit} tenants at a time`, {
    details: { tenant, limit: 'tenants' },
  })
}
