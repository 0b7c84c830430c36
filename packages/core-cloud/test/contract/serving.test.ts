import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type Bus, connectBus, listenBus, memoryBus } from '@aaas/core-cloud/bus'
import { CloudError, type ErrorCode, silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { ManualClock } from '@aaas/testing'
import { type Test, test } from 'tap'
import { Type } from 'typebox'
import {
  busClient,
  type Client,
  defineContract,
  type Handlers,
  localClient,
  type ServedContract,
  serveContract,
} from '../../src/contract/index.js'
import { socketFolder } from '../bus/fixture/processes.js'

const ids = systemIds()
const logger = silentLogger
const prefix = 'site.a'
const sample = defineContract({
  name: 'sample.served',
  version: '1.0.0',
  methods: {
    work: { summary: 'Works.', input: Type.Object({ text: Type.Optional(Type.String()) }), output: Type.Unknown() },
    fail: {
      summary: 'Fails.',
      input: Type.Object({ code: Type.String(), retryable: Type.Boolean() }),
      output: Type.Unknown(),
    },
  },
})
type Sample = typeof sample

const handlers: Handlers<Sample> = {
  async work({ text }) {
    await new Promise(resolve => setImmediate(resolve))
    return text?.length ?? 0
  },
  async fail({ code, retryable }) {
    throw new CloudError(code as ErrorCode, 'from a newer version', { retryable, details: { hint: 1 } })
  },
}

/** A bus whose requests can be held, refused or counted. */
function tampered(bus: Bus, request: Bus['request']): Bus {
  return {
    publish: (...args) => bus.publish(...args),
    subscribe: (...args) => bus.subscribe(...args),
    requestMany: (...args) => bus.requestMany(...args),
    drain: () => bus.drain(),
    request,
    [Symbol.asyncDispose]: () => Promise.resolve(bus[Symbol.asyncDispose]()),
  }
}

const serveOn = (bus: Bus, clock: ManualClock, readyMs = 1_000): Promise<ServedContract> =>
  serveContract({ bus, contract: sample, handlers, prefix, clock, logger, readyMs })

test('an instance is ready when its own probe came back, not before', async t => {
  const clock = new ManualClock()
  const bus = memoryBus({ clock })
  const asked: string[] = []
  let absent = 3
  const slow = tampered(bus, async (subject, payload, options) => {
    asked.push(subject)
    if (absent-- > 0) throw new CloudError('core.bus.no-responder', 'not yet')
    return bus.request(subject, payload, options)
  })
  let ready = false
  const serving = serveOn(slow, clock).then(served => {
    ready = true
    return served
  })
  await clock.pass(10)
  t.equal(ready, false)
  await clock.pass(100)
  const served = await serving
  t.equal(asked.length, 4)
  t.equal(asked[0], `${prefix}.sample.served._i.${served.instance}.ready`)
  t.equal(served.inFlight, 0)
})

test('a probe that nobody or another answers is a failed start that leaves nothing behind', async t => {
  const clock = new ManualClock()
  const bus = memoryBus({ clock })
  const other = tampered(bus, async (subject, payload, options) => {
    const answer = await bus.request(subject, payload, options)
    return { ...answer, headers: {}, subject, payload: Buffer.from('another') }
  })
  const failed = t.rejects(serveOn(other, clock), { code: 'core.bus.disconnected', retryable: true })
  await clock.pass(1_000)
  await failed
  const client = busClient({ bus, contract: sample, prefix, clock, ids })
  await t.rejects(client.work({}), { code: 'core.bus.no-responder' })
})

test('where the bus refuses the probe, its acknowledgements count', async t => {
  const folder = socketFolder()
  const options = { socketPath: `${folder.path}/hub`, clock: systemClock(), logger }
  const hub = await listenBus({
    ...options,
    // As the instance of a site: it may listen on its own subjects, but not send to them.
    authenticate: name => ({ name, kind: 'site', publish: ['service.>'], subscribe: [`${prefix}.>`] }),
  })
  const site = await connectBus({ ...options, token: 'a', ids })
  await serveContract({ bus: site, contract: sample, handlers, prefix, clock: systemClock(), logger })
  const host = hub.bus({ name: 'host', kind: 'host', publish: ['>'], subscribe: ['>'] })
  t.equal(await busClient({ bus: host, contract: sample, prefix, clock: systemClock(), ids }).work({ text: 'abc' }), 3)
  for (const part of [host, site, hub]) await part[Symbol.asyncDispose]()
  folder.remove()
})

test('a drain waits for the running calls, which are counted, and for nothing else', async t => {
  const clock = new ManualClock()
  const bus = memoryBus({ clock })
  const waiting: (() => void)[] = []
  const held = { ...handlers, work: () => new Promise<number>(resolve => waiting.push(() => resolve(1))) }
  const served = await serveContract({ bus, contract: sample, handlers: held, prefix, clock, logger })
  const client = busClient({ bus, contract: sample, prefix, clock, ids })
  const calls = [client.work({}), client.work({}), client.work({})]
  const late = t.rejects(client.work({}, { deadline: clock.now() + 5_000 }), {
    code: 'core.contract.deadline-exceeded',
  })
  await clock.pass(1)
  t.equal(served.inFlight, 4)
  let drained = false
  const draining = served.drain().then(() => (drained = true))
  t.equal(served.drain(), served[Symbol.asyncDispose](), 'one drain, whoever asks')
  for (const [done, left] of [3, 2, 1].entries()) {
    waiting[done]?.()
    await clock.pass(1)
    t.equal(served.inFlight, left)
    t.equal(drained, false)
  }
  t.same(await Promise.all(calls), [1, 1, 1])
  // The last one never answers: its deadline is the longest that a drain takes.
  await clock.pass(5_000)
  await late
  await draining
  t.equal(served.inFlight, 0)
})

/** One callee after another, each started before the one before it leaves. */
async function replaced(near: Bus, farAt: (turn: number) => Promise<Bus>, t: { ok(value: unknown): void }) {
  const clock = systemClock()
  const client = busClient({ bus: near, contract: sample, prefix, clock, ids })
  const serve = async (turn: number): Promise<() => Promise<void>> => {
    const bus = await farAt(turn)
    const served = await serveContract({ bus, contract: sample, handlers, prefix, clock, logger })
    return async () => {
      await served.drain()
      if (bus !== near) await bus[Symbol.asyncDispose]()
    }
  }
  let leave = await serve(0)
  let made = 0
  let over = false
  const failures: unknown[] = []
  const callers = Array.from({ length: 16 }, async () => {
    while (!over || made < 2_000) {
      made += 1
      await client.work({ text: 'abc' }).catch((error: unknown) => failures.push(error))
    }
  })
  for (let turn = 1; turn <= 30; turn++) {
    const next = await serve(turn)
    await leave()
    leave = next
    const until = made + 50
    while (made < until) await new Promise(resolve => setImmediate(resolve))
  }
  over = true
  await Promise.all(callers)
  await leave()
  t.ok(made >= 2_000)
  return failures
}

test('30 replacements under load lose no call, in one process', async t => {
  const bus = memoryBus({ clock: systemClock() })
  t.same(await replaced(bus, async () => bus, t), [])
})

test('30 replacements under load lose no call, over a unix socket', async t => {
  const folder = socketFolder()
  const options = { socketPath: `${folder.path}/hub`, clock: systemClock(), logger }
  const authenticate = (name: string) => ({ name, kind: 'site', publish: ['>'], subscribe: ['>'] })
  const hub = await listenBus({ ...options, authenticate })
  const near = await connectBus({ ...options, token: 'near', ids })
  t.same(await replaced(near, turn => connectBus({ ...options, token: `far-${turn}`, ids }), t), [])
  for (const part of [near, hub]) await part[Symbol.asyncDispose]()
  folder.remove()
})

async function errorsOf(t: Test, client: Client<Sample>, now: number, remote: boolean): Promise<void> {
  for (const retryable of [true, false]) {
    const unknown = { code: 'future.layer.code', retryable }
    const told = { code: 'core.contract.remote-error', retryable, details: { hint: 1, code: 'future.layer.code' } }
    await t.rejects(client.fail(unknown), remote ? told : unknown)
    const known = { code: 'business.inventory.sold-out', retryable, details: { hint: 1 } }
    await t.rejects(client.fail({ code: known.code, retryable }), known)
  }
  const late = { code: 'core.contract.deadline-exceeded', retryable: true }
  await t.rejects(client.work({}, { deadline: now }), late)
  await t.rejects(client.work({}, { deadline: now - 1_000 }), late)
  await t.rejects(client.work({}, { deadline: Number.NaN }), late)
  if (!remote) return
  const tooLarge = { code: 'core.contract.payload-too-large', retryable: false }
  await t.rejects(client.work({ text: 'x'.repeat(8 * 1024 * 1024) }), tooLarge)
}

test('errors keep their names: in one process', async t => {
  const clock = new ManualClock()
  await errorsOf(t, localClient({ contract: sample, handlers, clock, ids }), clock.now(), false)
})

test('errors keep their names: over a unix socket', async t => {
  const folder = socketFolder()
  const clock = systemClock()
  const options = { socketPath: `${folder.path}/hub`, clock, logger }
  const authenticate = (name: string) => ({ name, kind: 'site', publish: ['>'], subscribe: ['>'] })
  const hub = await listenBus({ ...options, authenticate })
  const near = await connectBus({ ...options, token: 'near', ids })
  const far = await connectBus({ ...options, token: 'far', ids })
  await serveContract({ bus: far, contract: sample, handlers, prefix, clock, logger })
  await errorsOf(t, busClient({ bus: near, contract: sample, prefix, clock, ids }), clock.now(), true)
  const newer = busClient({ bus: near, contract: { ...sample, version: '2.0.0' }, prefix, clock, ids })
  await t.rejects(newer.work({}), { code: 'core.contract.version-mismatch', retryable: false })
  for (const part of [near, far, hub]) await part[Symbol.asyncDispose]()
  folder.remove()
})

test('a program that has made its calls ends, long before their deadlines', async t => {
  const child = fork(fileURLToPath(new URL('fixture/one-call.js', import.meta.url)))
  const hurry = systemClock().after(8_000, () => child.kill('SIGKILL'))
  const [code] = (await once(child, 'exit')) as [number | null]
  hurry()
  t.equal(code, 0)
})
