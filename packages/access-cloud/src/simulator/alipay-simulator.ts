import { configValue, rsaPrivateKey, rsaPublicKey } from '@aaas/access-cloud/payment'
import type { Clock, Ids, Logger } from '@aaas/core-cloud/kernel'
import type { Database } from '@aaas/support-cloud/rdbms'
import { AlipayGateway, type RegisteredApp } from './alipay-gateway.js'
import { AlipayNotifier, alipayNotifyDelaysSeconds } from './alipay-notifier.js'
import { AlipayTrades } from './alipay-trades.js'
import { FaultPlans } from './fault-plans.js'
import type { AlipaySimulatorConfig } from './simulator-config.js'

export interface AlipaySimulatorOptions {
  /** Migrated by `simulatorMigrations`. */
  readonly database: Database
  readonly config: AlipaySimulatorConfig
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  /** Posts notifications; default: the global one. */
  readonly fetch?: typeof fetch
  /** Milliseconds between looks for due notifications, default 1_000; a payment is notified at once. */
  readonly pollMs?: number
}

/** A stateful Alipay: verifies what merchants sign, signs what it says, keeps its books, and fails when told to. */
export interface AlipaySimulator extends AsyncDisposable {
  readonly apps: ReadonlyMap<string, RegisteredApp>
  readonly gateway: AlipayGateway
  readonly trades: AlipayTrades
  readonly faults: FaultPlans
  readonly notifier: AlipayNotifier
}

/** @throws CloudError `core.kernel.invalid-config` naming the field of a key that cannot be read. */
export function alipaySimulator(options: AlipaySimulatorOptions): AlipaySimulator {
  const { config, database, clock, ids, logger } = options
  const privateKey = configValue('alipay/privateKeyPem', () => rsaPrivateKey(config.privateKeyPem))
  const apps = new Map<string, RegisteredApp>()
  for (const [index, app] of config.apps.entries()) {
    const field = `alipay/apps/${index}/merchantPublicKeyPem`
    const publicKey = configValue(field, () => rsaPublicKey(app.merchantPublicKeyPem))
    apps.set(app.appId, { sellerId: app.sellerId, merchantName: app.merchantName ?? app.appId, publicKey })
  }
  const faults = new FaultPlans(database)
  const notifier = new AlipayNotifier({
    database,
    faults,
    clock,
    ids,
    logger,
    privateKey,
    fetch: options.fetch ?? fetch,
    sellerOf: appId => apps.get(appId)?.sellerId,
    delaysSeconds: config.notifyDelaysSeconds ?? alipayNotifyDelaysSeconds,
    pollMs: options.pollMs ?? 1_000,
  })
  const trades = new AlipayTrades({ database, clock, ids, notifier })
  const gateway = new AlipayGateway({ apps, privateKey, trades, faults })
  return { apps, gateway, trades, faults, notifier, [Symbol.asyncDispose]: () => notifier.stop() }
}
