import { memoryRatePool } from '@aaas/access-cloud/pool'
import { busClient, serveContract } from '@aaas/core-cloud/contract'
import { defineProgram, type InstanceContext, type RunningProgram } from '@aaas/core-cloud/deploy'
import { type Clock, CloudError, Lifecycle } from '@aaas/core-cloud/kernel'
import { type Database, migrate, pgDatabase } from '@aaas/support-cloud/rdbms'
import { type Static, Type } from 'typebox'
import { alipayProvider } from './alipay-provider.js'
import { rsaPrivateKey, rsaPublicKey } from './alipay-signature.js'
import type { DeliverPaymentEvent } from './event-delivery.js'
import { paymentContract, paymentListenerContract } from './payment-contract.js'
import { PaymentGateway } from './payment-gateway.js'
import { paymentHttpHandler } from './payment-http.js'
import { paymentMigrations } from './payment-migrations.js'
import type { PaymentProvider } from './provider.js'
import { configValue, parseConfig } from './service-config.js'

const key = Type.String({ minLength: 100, maxLength: 16_384 })
const httpUrl = Type.String({ pattern: '^https?://', maxLength: 1024 })

export const PaymentConfig = Type.Object(
  {
    alipay: Type.Object(
      {
        gatewayUrl: httpUrl,
        appId: Type.String({ minLength: 1, maxLength: 32 }),
        sellerId: Type.String({ minLength: 1, maxLength: 32 }),
        /** The merchant's private key: PEM, or base64 PKCS#8 / PKCS#1. */
        privateKeyPem: key,
        /** Alipay's public key: PEM, or base64. */
        alipayPublicKeyPem: key,
        /** Default: the program's public address + `/notify/alipay`. */
        notifyUrl: Type.Optional(httpUrl),
        /** Calls per second that Alipay allows this app; default 20. */
        requestsPerSecond: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000 })),
      },
      { additionalProperties: false },
    ),
  },
  { additionalProperties: false },
)
export type PaymentConfig = Static<typeof PaymentConfig>

/** The payment gateway as a platform service: `service.payment` on the bus, notifications over HTTP. */
export const paymentProgram = defineProgram({
  async release(context) {
    readConfig(context.config)
    await using database = pgDatabase({ url: context.databaseUrl })
    await migrate(database, [paymentMigrations])
  },
  start: startPayment,
})

async function startPayment(context: InstanceContext): Promise<RunningProgram> {
  const { bus, clock, ids, logger } = context
  const config = readConfig(context.config)
  const watched = context.observer === undefined ? {} : { observer: context.observer }
  const lifecycle = new Lifecycle({ clock })
  try {
    const database = lifecycle.use('database', pgDatabase({ url: context.databaseUrl }))
    const providers = [configuredAlipay(config, context, lifecycle)]
    const deliver: DeliverPaymentEvent = async (tenant, event) => {
      const prefix = `site.${tenant}`
      await busClient({ bus, contract: paymentListenerContract, prefix, clock, ids, ...watched }).paymentChanged(event)
    }
    const gateway = lifecycle.use('gateway', new PaymentGateway({ database, providers, deliver, clock, ids, logger }))
    await alive(database, clock)
    const contract = paymentContract
    const prefix = 'service.payment'
    const served = await serveContract({
      bus,
      contract,
      handlers: gateway.handlers(),
      prefix,
      queue: prefix,
      clock,
      logger,
      ...watched,
    })
    lifecycle.add({
      name: 'contract',
      drain: () => served.drain(),
      dispose: () => Promise.resolve(served[Symbol.asyncDispose]()),
    })
    gateway.start()
    const health = (): Promise<void> => alive(database, clock)
    return {
      handler: paymentHttpHandler({ gateway, health, logger }),
      health,
      async drain() {
        await served.drain()
        await gateway[Symbol.asyncDispose]()
      },
      [Symbol.asyncDispose]: () => lifecycle.stop(),
    }
  } catch (error) {
    await lifecycle.stop().catch(() => undefined)
    throw error
  }
}

/** Everything that can be wrong with the configuration, found before anything is opened. */
function readConfig(value: unknown): PaymentConfig {
  const config = parseConfig(PaymentConfig, value, 'payment')
  const { alipay } = config
  configValue('alipay/privateKeyPem', () => rsaPrivateKey(alipay.privateKeyPem))
  configValue('alipay/alipayPublicKeyPem', () => rsaPublicKey(alipay.alipayPublicKeyPem))
  configValue('alipay/gatewayUrl', () => new URL(alipay.gatewayUrl))
  return config
}

function configuredAlipay({ alipay }: PaymentConfig, context: InstanceContext, lifecycle: Lifecycle): PaymentProvider {
  const limit = alipay.requestsPerSecond ?? 20
  const pool = lifecycle.use('alipay pool', memoryRatePool({ limit, intervalMs: 1_000, clock: context.clock }))
  return alipayProvider({
    gatewayUrl: alipay.gatewayUrl,
    appId: alipay.appId,
    sellerId: alipay.sellerId,
    privateKeyPem: alipay.privateKeyPem,
    alipayPublicKeyPem: alipay.alipayPublicKeyPem,
    notifyUrl: alipay.notifyUrl ?? `${context.publicUrl}/notify/alipay`,
    clock: context.clock,
    pool,
  })
}

async function alive(database: Database, clock: Clock): Promise<void> {
  const started = clock.monotonic()
  await database.query({ name: 'payment-alive', text: 'select 1' })
  const ms = clock.monotonic() - started
  if (ms > 5_000) throw new CloudError('support.rdbms.unavailable', `the database took ${Math.round(ms)} ms to answer`)
}
