import { generateKeyPairSync } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  alipayProvider,
  type PaymentEventMessage,
  PaymentGateway,
  paymentHttpHandler,
  paymentMigrations,
} from '@aaas/access-cloud/payment'
import { memoryRatePool } from '@aaas/access-cloud/pool'
import { alipaySimulator, simulatorHttpHandler, simulatorMigrations } from '@aaas/access-cloud/simulator'
import { type CallContext, silentLogger, systemIds } from '@aaas/core-cloud/kernel'
import { type Database, migrate, pgDatabase } from '@aaas/support-cloud/rdbms'
import { ManualClock, openTestDatabase } from '@aaas/testing'

export const appId = '2021000000000001'
export const sellerId = '2088000000000001'
export const adminKey = 'admin-key-of-the-test'

export interface KeyPair {
  readonly privateKeyPem: string
  readonly publicKeyPem: string
}

export function rsaKeys(): KeyPair {
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return {
    privateKeyPem: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicKeyPem: pair.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  }
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** A server on a free loopback port whose handler may be exchanged, as when an instance is replaced. */
export async function listen(): Promise<AsyncDisposable & { readonly url: string; handler: Handler }> {
  const server = createServer((request, response) => place.handler(request, response))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const place = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    handler: ((_, response) => response.writeHead(503).end()) as Handler,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
  return place
}

export type PaymentWorld = Awaited<ReturnType<typeof openPaymentWorld>>

/** The gateway and the simulator, each with its database, talking real HTTP; time stands still unless told to pass. */
export async function openPaymentWorld() {
  const opened: AsyncDisposable[] = []
  const stack = {
    use<T extends AsyncDisposable>(value: T): T {
      opened.push(value)
      return value
    },
  }
  const clock = new ManualClock()
  const ids = systemIds()
  const merchant = rsaKeys()
  const alipay = rsaKeys()
  const databases: Database[] = []
  for (const migrations of [paymentMigrations, simulatorMigrations]) {
    const { url } = stack.use(await openTestDatabase())
    const database = stack.use(pgDatabase({ url }))
    await migrate(database, [migrations])
    databases.push(database)
  }
  const [gatewayDatabase, simulatorDatabase] = databases as [Database, Database]
  const gatewayServer = stack.use(await listen())
  const simulatorServer = stack.use(await listen())

  const simulator = stack.use(
    alipaySimulator({
      database: simulatorDatabase,
      config: {
        apps: [{ appId, sellerId, merchantName: 'Tea House', merchantPublicKeyPem: merchant.publicKeyPem }],
        privateKeyPem: alipay.privateKeyPem,
      },
      clock,
      ids,
      logger: silentLogger,
    }),
  )
  const health = (): Promise<void> => Promise.resolve()
  const http = { simulator, database: simulatorDatabase, adminKey, health, clock, logger: silentLogger }
  simulatorServer.handler = simulatorHttpHandler(http)

  const pool = stack.use(memoryRatePool({ limit: 1_000, intervalMs: 1_000, clock }))
  const provider = alipayProvider({
    gatewayUrl: `${simulatorServer.url}/alipay/gateway.do`,
    appId,
    sellerId,
    privateKeyPem: merchant.privateKeyPem,
    alipayPublicKeyPem: alipay.publicKeyPem,
    notifyUrl: `${gatewayServer.url}/notify/alipay`,
    clock,
    pool,
  })
  const events: { tenant: string; event: PaymentEventMessage }[] = []
  const site = { refuses: 0 }
  const gateway = stack.use(
    new PaymentGateway({
      database: gatewayDatabase,
      providers: [provider],
      deliver: async (tenant, event) => {
        if (site.refuses > 0) {
          site.refuses -= 1
          throw new Error('the site is away')
        }
        events.push({ tenant, event })
      },
      clock,
      ids,
      logger: silentLogger,
    }),
  )
  gatewayServer.handler = paymentHttpHandler({ gateway, health, logger: silentLogger })

  const context = (tenant: string | undefined = 'shop'): CallContext => ({
    traceId: 't',
    ...(tenant === undefined ? {} : { tenant }),
    deadline: clock.now() + 10_000,
    signal: new AbortController().signal,
  })
  let count = 0
  return {
    clock,
    merchant,
    alipay,
    gateway,
    simulator,
    provider,
    events,
    site,
    gatewayDatabase,
    simulatorDatabase,
    gatewayServer,
    simulatorServer,
    context,
    /** Opens a payment and returns where the buyer is sent. */
    async open(amount = 1_234, expiresInMs = 1_800_000) {
      count += 1
      const paymentId = `payment-${String(count).padStart(4, '0')}`
      const input = {
        paymentId,
        provider: 'alipay' as const,
        amount,
        currency: 'CNY' as const,
        subject: '龙井茶 & "Tea" <b>',
        returnUrl: 'http://shop.test/return?order=1',
        expiresAt: clock.now() + expiresInMs,
      }
      const { payment, redirectUrl } = await gateway.prepay(input, context())
      return { paymentId, input, payment, redirectUrl }
    },
    /** The buyer's browser: follows to the cashier page. */
    async visit(redirectUrl: string): Promise<string> {
      const answer = await fetch(redirectUrl, { redirect: 'manual' })
      const cashier = new URL(answer.headers.get('location') ?? '', redirectUrl).href
      await fetch(cashier).then(page => page.text())
      return cashier
    },
    async pay(cashier: string): Promise<Response> {
      return fetch(`${cashier}/pay`, { method: 'POST', redirect: 'manual' })
    },
    /** Delivers what waits, to the gateway and from there to the site. */
    async settle(): Promise<void> {
      while ((await simulator.notifier.runDue()) + (await gateway.deliverDue()) > 0);
    },
    state: async (paymentId: string) => (await gateway.get({ paymentId }, context())).state,
    notifications: () =>
      gatewayDatabase.query<{ disposition: string; reason: string | null; status: string }>({
        text: 'select disposition, reason, status from provider_notification order by id',
      }),
    async [Symbol.asyncDispose]() {
      for (const value of opened.reverse()) await value[Symbol.asyncDispose]()
    },
  }
}
