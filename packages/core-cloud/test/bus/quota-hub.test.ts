import { CloudError, silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { type Test, test } from 'tap'
import { type Bus, type BusMessage, connectBus, listenBus, quotaDesk, type TenantLimits } from '../../src/bus/index.js'
import { acquainted, joinDirect, until } from './fixture/direct-cluster.js'
import { socketFolder } from './fixture/processes.js'

const clock = systemClock({ keepAlive: true })
const ids = systemIds()
const empty = Buffer.alloc(0)
const soon = (): { deadline: number } => ({ deadline: clock.now() + 5_000 })
const everything = { publish: ['>'], subscribe: ['>'] }

interface Place {
  readonly desk: ReturnType<typeof quotaDesk>
  readonly path: string
  /** A connection over the socket: of the tenant `shop`, or of nobody's. */
  join(name?: string): Promise<Bus>
}

async function openHub(t: Test, limits: TenantLimits, maxTenants = 100): Promise<Place> {
  const folder = socketFolder()
  const desk = quotaDesk({ source: 'hub', limitsOf: () => limits, clock, ids, maxTenants })
  const socketPath = `${folder.path}/hub`
  const hub = await listenBus({
    socketPath,
    clock,
    logger: silentLogger,
    quota: desk,
    authenticate: name => ({ name, kind: name === 'host' ? 'host' : 'site', ...everything }),
  })
  const open: Bus[] = []
  t.teardown(async () => {
    for (const bus of open) await bus[Symbol.asyncDispose]()
    await hub[Symbol.asyncDispose]()
    await desk[Symbol.asyncDispose]()
    folder.remove()
  })
  return {
    desk,
    path: folder.path,
    async join(token = 'shop') {
      const bus = await connectBus({ socketPath, token, clock, ids, logger: silentLogger })
      open.push(bus)
      return bus
    },
  }
}

async function refusal(call: Promise<unknown>): Promise<CloudError> {
  const error: unknown = await call.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!CloudError.is(error, 'core.bus.quota-exceeded')) throw new Error(`not refused: ${String(error)}`)
  return error
}

test('a tenant over its rate is told at once and when to come back; others are not', async t => {
  const { join, desk } = await openHub(t, { messagesPerSecond: 1, messageBurst: 3 })
  const shop = await join()
  const host = await join('host')
  let seen = 0
  await host.subscribe('n', () => void seen++)
  for (let index = 0; index < 3; index++) await shop.publish('n', Buffer.from('abc'))
  const error = await refusal(shop.publish('n', empty))
  t.equal(error.retryable, true)
  const { retryAfterMs } = error.details ?? {}
  t.ok(typeof retryAfterMs === 'number' && retryAfterMs > 0 && retryAfterMs <= 1_000)
  const other = await refusal(shop.request('n', empty, soon()))
  t.ok(other.details?.retryAfterMs)
  for (let index = 0; index < 20; index++) await host.publish('n', empty)
  await (await join('travel')).publish('n', empty)
  await until(() => seen === 24)
  const reading = desk.readings().find(({ site }) => site === 'shop')
  t.match(reading?.counters, { busMessages: 3, busBytesIn: 9, busRefused: 2 })
})

test('calls in flight are bounded, however they end', async t => {
  const { join } = await openHub(t, { inFlight: 2 })
  const shop = await join()
  const host = await join('host')
  const held: BusMessage[] = []
  await host.subscribe('hold', message => void held.push(message))
  await host.subscribe('echo', message => message.respond?.(Buffer.from('12')))
  await host.subscribe('bad', () => Promise.reject(new Error('no')))
  const first = shop.request('hold', empty, soon())
  const controller = new AbortController()
  const second = shop.request('hold', empty, { ...soon(), signal: controller.signal })
  await refusal(shop.request('echo', empty, soon()))
  controller.abort()
  await t.rejects(second, { code: 'core.contract.cancelled' })
  await until(() => held.length === 2)
  await held[0]?.respond?.(empty)
  await first
  for (let index = 0; index < 5; index++) {
    await shop.request('echo', empty, soon())
    await t.rejects(shop.request('bad', empty, soon()), { code: 'core.kernel.internal' })
    await t.rejects(shop.request('nobody', empty, soon()), { code: 'core.bus.no-responder' })
    await t.rejects(shop.request('hold', empty, { deadline: clock.now() + 5 }), {
      code: 'core.contract.deadline-exceeded',
    })
    for await (const answer of shop.requestMany('echo', empty, { ...soon(), max: 3 })) t.equal(answer.payload.length, 2)
  }
  const both = [shop.request('hold', empty, soon()), shop.request('hold', empty, soon())].map(call =>
    call.catch((error: { code: string }) => error.code),
  )
  await refusal(shop.request('echo', empty, soon()))
  // A lost connection gives back what it held.
  await shop[Symbol.asyncDispose]()
  t.same(await Promise.all(both), ['core.kernel.stopped', 'core.kernel.stopped'])
  const again = await join()
  const answered = async (): Promise<boolean> => {
    try {
      await again.request('echo', empty, soon())
      return true
    } catch (error) {
      if (!CloudError.is(error, 'core.bus.quota-exceeded')) throw error
      return false
    }
  }
  await until(answered)
})

test('subscriptions are bounded over all connections of a tenant', async t => {
  const { join } = await openHub(t, { subscriptions: 2 })
  const first = await join()
  const second = await join()
  const one = await first.subscribe('a', () => undefined)
  await second.subscribe('b', () => undefined)
  const error = await refusal(second.subscribe('c', () => undefined))
  t.equal(error.retryable, true)
  await one.drain()
  await second.subscribe('c', () => undefined)
  await t.rejects(
    second.subscribe('a b', () => undefined),
    { code: 'core.bus.invalid-subject' },
  )
})

test('a tenant for whom there is no place is not connected', async t => {
  const { join } = await openHub(t, {}, 1)
  await join()
  await join('host')
  await t.rejects(join('travel'), { code: 'core.bus.refused' })
})

test('a direct call counts where it arrives', async t => {
  const { join, path } = await openHub(t, {})
  const limits: TenantLimits = { inFlight: 1, messagesPerSecond: 1, messageBurst: 2 }
  const desk = quotaDesk({
    source: 'pay',
    limitsOf: () => limits,
    tenantOf: ({ name }) => (name === 'shop' ? name : undefined),
    clock,
    ids,
  })
  const pay = await joinDirect(await join('pay'), { name: 'pay', listen: { socketPath: `${path}/pay` }, quota: desk })
  const shop = await joinDirect(await join('shop'), { name: 'shop', listen: { socketPath: `${path}/shop` } })
  t.teardown(async () => {
    await shop[Symbol.asyncDispose]()
    await pay[Symbol.asyncDispose]()
  })
  const held: BusMessage[] = []
  await pay.subscribe('hold', message => void held.push(message), { queue: 'q' })
  await acquainted([pay, shop])
  const call = shop.request('hold', Buffer.from('abc'), soon())
  t.notOk((await refusal(shop.request('hold', empty, soon()))).details?.retryAfterMs)
  await held[0]?.respond?.(Buffer.from('de'))
  await call
  const second = shop.request('hold', empty, soon())
  await until(() => held.length === 2)
  await held[1]?.respond?.(empty)
  await second
  t.ok((await refusal(shop.request('hold', empty, soon()))).details?.retryAfterMs)
  t.match(desk.readings(), [{ counters: { busMessages: 2, busBytesIn: 3, busBytesOut: 2, busRefused: 2 } }])
  t.match(shop.info(), { direct: 4, otherWay: 0 })
})
