import assert from 'node:assert/strict'
import { request as httpRequest } from 'node:http'
import { type Payment, paymentContract, paymentListenerContract, paymentProgram } from '@aaas/access-cloud/payment'
import { simulatorProgram } from '@aaas/access-cloud/simulator'
import { memoryBus } from '@aaas/core-cloud/bus'
import { busClient, serveContract } from '@aaas/core-cloud/contract'
import type { InstanceContext, RunningProgram } from '@aaas/core-cloud/deploy'
import { CloudError, silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { eventually, openTestDatabase } from '@aaas/testing'
import { test } from 'tap'
import { adminKey, appId, listen, rsaKeys, sellerId } from '../payment/payment-world.js'

const clock = systemClock()
const ids = systemIds()
const logger = silentLogger
const merchant = rsaKeys()
const alipay = rsaKeys()

const simulatorConfig = {
  alipay: {
    apps: [{ appId, sellerId, merchantName: 'Tea House', merchantPublicKeyPem: merchant.publicKeyPem }],
    privateKeyPem: alipay.privateKeyPem,
  },
  adminKey,
}

test('both programs, as the platform runs them', async t => {
  const bus = memoryBus({ clock, logger })
  t.teardown(() => bus[Symbol.asyncDispose]())
  // What the edge does: takes the prefix off and says so.
  const edge = await listen()
  t.teardown(() => edge[Symbol.asyncDispose]())
  const programs: Record<string, RunningProgram> = {}
  edge.handler = (request, response) => {
    const match = /^\/s\/(\w+)(\/.*)?$/.exec(request.url ?? '')
    const program = programs[match?.[1] ?? '']
    if (program === undefined) return void response.writeHead(404).end()
    request.url = match?.[2] ?? '/'
    request.headers['x-forwarded-prefix'] = `/s/${match?.[1]}`
    program.handler(request, response)
  }
  const start = async (name: string, program: typeof paymentProgram, config: unknown): Promise<void> => {
    const database = await openTestDatabase()
    t.teardown(() => database[Symbol.asyncDispose]())
    const shared = { packageDir: '/', dataDir: '/', databaseUrl: database.url, config, clock, ids, logger }
    const signal = new AbortController().signal
    await program.release?.({ ...shared, signal })
    await program.release?.({ ...shared, signal })
    const context = { ...shared, instanceId: 'i1', version: 1, bus, publicUrl: `${edge.url}/s/${name}` }
    const running = await program.start(context as unknown as InstanceContext)
    programs[name] = running
    t.teardown(() => running[Symbol.asyncDispose]())
    await running.health()
  }
  await start('simulator', simulatorProgram, simulatorConfig)
  await start('payment', paymentProgram, {
    alipay: {
      gatewayUrl: `${edge.url}/s/simulator/alipay/gateway.do`,
      appId,
      sellerId,
      privateKeyPem: merchant.privateKeyPem,
      alipayPublicKeyPem: alipay.publicKeyPem,
      requestsPerSecond: 100,
    },
  })
  const changes: Payment[] = []
  const listener = await serveContract({
    bus,
    contract: paymentListenerContract,
    handlers: {
      async paymentChanged({ payment }) {
        changes.push(payment)
        return {}
      },
    },
    prefix: 'site.shop',
    clock,
    logger,
  })
  t.teardown(() => listener.drain())
  const client = busClient({ bus, contract: paymentContract, prefix: 'service.payment', clock, ids })

  await t.test('a payment travels through bus, browser and notification back to the site', async () => {
    const order = {
      paymentId: 'payment-0001',
      provider: 'alipay' as const,
      amount: 100,
      currency: 'CNY' as const,
      subject: 'Tea',
      returnUrl: `${edge.url}/s/shop/return`,
      expiresAt: clock.now() + 600_000,
    }
    const { redirectUrl } = await client.prepay(order, { tenant: 'shop' })
    const opened = await fetch(redirectUrl)
    assert.match(opened.url, /\/s\/simulator\/alipay\/cashier\//)
    const pageText = await opened.text()
    const action = /action="([^"]+\/pay)"/.exec(pageText)?.[1] ?? ''
    assert.match(action, /^\/s\/simulator\/alipay\/cashier\//)
    const style = await fetch(new URL(/href="([^"]+\.css)"/.exec(pageText)?.[1] ?? '', edge.url))
    assert.equal(style.status, 200)
    const back = await fetch(new URL(action, edge.url), { method: 'POST', redirect: 'manual' })
    assert.ok(back.headers.get('location')?.startsWith(order.returnUrl))
    await eventually('the site hears of the payment', () => changes.length > 0)
    assert.deepEqual([changes[0]?.paymentId, changes[0]?.state], ['payment-0001', 'paid'])
    const refunded = await client.refund(
      { paymentId: 'payment-0001', refundId: 'refund-0001', amount: 100, reason: '' },
      { tenant: 'shop' },
    )
    assert.equal(refunded.state, 'refunded')
    const other = await client.get({ paymentId: 'payment-0001' }, { tenant: 'other' }).catch(CloudError.from)
    assert.equal((other as CloudError).code, 'access.payment.unknown-order')
    assert.equal(((await client.list({}).catch(CloudError.from)) as CloudError).code, 'core.contract.unauthenticated')
  })

  await t.test('the notification address takes forms of bounded size only', async () => {
    const url = `${edge.url}/s/payment/notify/alipay`
    const post = (body: string, type = 'application/x-www-form-urlencoded') =>
      fetch(url, { method: 'POST', body, headers: { 'content-type': type } })
    assert.equal((await fetch(url)).status, 405)
    assert.equal((await post('{}', 'application/json')).status, 415)
    assert.equal((await post('a=1&a=2')).status, 400)
    const forged = await post(`app_id=${appId}&sign=AAAA`)
    assert.deepEqual([forged.status, await forged.text()], [400, 'fail'])
    assert.equal((await post(`a=${'x'.repeat(65_534)}`)).status, 400)
    assert.equal(await tooLarge(url, 65_537), 413)
    assert.equal((await fetch(`${edge.url}/s/payment/health`)).status, 200)
    assert.equal((await fetch(`${edge.url}/s/payment/other`)).status, 404)
  })

  await t.test('the admin endpoints need the key and name what is wrong', async () => {
    const url = `${edge.url}/s/simulator/alipay/admin`
    const call = (path: string, method: string, body?: unknown, key = adminKey) =>
      fetch(url + path, {
        method,
        headers: { authorization: `Bearer ${key}` },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
    assert.equal((await call('/trades', 'GET', undefined, 'wrong')).status, 404)
    const { trades } = (await (await call(`/trades?appId=${appId}`, 'GET')).json()) as {
      trades: Record<string, unknown>[]
    }
    assert.deepEqual([trades.length, trades[0]?.status, trades[0]?.token], [1, 'TRADE_CLOSED', undefined])
    assert.equal((await call('/faults', 'PUT', { appId, plan: { notify: { drop: 1 } } })).status, 200)
    assert.equal((await call(`/faults?appId=${appId}`, 'DELETE')).status, 200)
    for (const [body, field] of [
      [{ appId, plan: { notify: { drop: -1 } } }, 'plan/notify/drop'],
      [{ appId: 'nobody', plan: {} }, 'appId'],
    ] as const) {
      const answer = await call('/faults', 'PUT', body)
      assert.deepEqual([answer.status, ((await answer.json()) as { field: string }).field], [400, field])
    }
  })

  await t.test('draining ends the background work and the contract', async () => {
    for (const program of Object.values(programs)) await program.drain(new AbortController().signal)
    const error = (await client.list({}, { tenant: 'shop' }).catch(CloudError.from)) as CloudError
    assert.equal(error.code, 'core.bus.no-responder')
  })
})

test('a bad configuration names its field and repeats no key', async () => {
  const secret = merchant.privateKeyPem.replaceAll('\n', ' ')
  const good = {
    gatewayUrl: 'http://127.0.0.1/gateway.do',
    appId,
    sellerId,
    privateKeyPem: merchant.privateKeyPem,
    alipayPublicKeyPem: alipay.publicKeyPem,
  }
  const start = (program: typeof paymentProgram, config: unknown): Promise<unknown> =>
    program.start({
      databaseUrl: 'postgres://127.0.0.1:1/x',
      config,
      clock,
      ids,
      logger,
      publicUrl: 'http://x',
    } as unknown as InstanceContext)
  for (const [program, config, field] of [
    [paymentProgram, {}, 'alipay'],
    [paymentProgram, { alipay: { ...good, appId: 5 } }, 'alipay/appId'],
    [paymentProgram, { alipay: { ...good, requestsPerSecond: 0 } }, 'alipay/requestsPerSecond'],
    [paymentProgram, { alipay: { ...good, extra: 1 } }, 'alipay/extra'],
    [paymentProgram, { alipay: { ...good, privateKeyPem: secret } }, 'alipay/privateKeyPem'],
    [simulatorProgram, { alipay: { ...simulatorConfig.alipay, privateKeyPem: secret } }, 'alipay/privateKeyPem'],
    [simulatorProgram, { ...simulatorConfig, adminKey: 'short' }, 'adminKey'],
  ] as const) {
    const error = await start(program, config).catch((thrown: unknown) => thrown)
    assert.ok(CloudError.is(error, 'core.kernel.invalid-config'), String(error))
    assert.equal(error.field, field)
    assert.ok(!error.message.includes('PRIVATE KEY'))
  }
})

/** Sends more than is allowed, as fetch would, but still reads an answer that comes before the end. */
function tooLarge(url: string, bytes: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': bytes }
    const sent = httpRequest(url, { method: 'POST', headers }, response => resolve(response.statusCode))
    sent.on('error', reject)
    sent.write('x'.repeat(bytes))
  })
}
