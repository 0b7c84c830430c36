import { type Bus, connectBus, listenBus, memoryBus } from '@aaas/core-cloud/bus'
import { type Actor, type CallContext, silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { ManualClock } from '@aaas/testing'
import { test } from 'tap'
import {
  allOf,
  type ContractStreamFixture,
  contractStreamSuite,
  streamContract,
  suiteLimits,
} from '../../src/contract/contract-stream-suite.js'
import {
  busClient,
  type Contract,
  defineContract,
  type Handlers,
  localClient,
  openApiDocument,
  type ServedContract,
  serveContract,
} from '../../src/contract/index.js'
import { socketFolder } from '../bus/fixture/processes.js'
import { actingAs } from './fixture/acting.js'

const ids = systemIds()
const logger = silentLogger
const prefix = 'site.shop'

async function overBus<C extends Contract>(
  contract: C,
  handlers: Handlers<C>,
  near: Bus,
  far: Bus,
  clock: ManualClock,
) {
  await serveContract({ bus: far, contract, handlers, prefix, clock, logger, streams: suiteLimits })
  const client = busClient({ bus: near, contract, prefix, clock, ids, streams: suiteLimits })
  return (actor?: Actor) => actingAs(client, contract, actor)
}

const surfaces: Readonly<Record<string, () => Promise<ContractStreamFixture>>> = {
  async local() {
    const clock = new ManualClock()
    return {
      clock,
      window: 1,
      passTime: ms => clock.pass(ms),
      serve: async (contract, handlers) => actor =>
        actingAs(localClient({ contract, handlers, clock, ids }), contract, actor),
      async [Symbol.asyncDispose]() {},
    }
  },
  async 'memory bus'() {
    const clock = new ManualClock()
    const bus = memoryBus({ clock })
    return {
      clock,
      window: 8,
      passTime: ms => clock.pass(ms),
      serve: (contract, handlers) => overBus(contract, handlers, bus, bus, clock),
      [Symbol.asyncDispose]: () => Promise.resolve(bus[Symbol.asyncDispose]()),
    }
  },
  async 'unix socket bus'() {
    const clock = new ManualClock(systemClock().now())
    const folder = socketFolder()
    const options = { socketPath: `${folder.path}/hub`, clock, logger }
    const authenticate = (name: string) => ({ name, kind: 'site', publish: ['>'], subscribe: ['>'] })
    const hub = await listenBus({ ...options, authenticate })
    const near = await connectBus({ ...options, token: 'shop', ids })
    const far = await connectBus({ ...options, token: 'far', ids })
    return {
      clock,
      window: 8,
      passTime: ms => clock.pass(ms),
      serve: (contract, handlers) => overBus(contract, handlers, near, far, clock),
      async [Symbol.asyncDispose]() {
        for (const part of [near, far, hub]) await part[Symbol.asyncDispose]()
        folder.remove()
      },
    }
  },
}

for (const [name, open] of Object.entries(surfaces)) {
  test(name, async t => contractStreamSuite((title, fn) => t.test(title, fn), open, { remote: name !== 'local' }))
}

interface Counting {
  readonly clock: ManualClock
  readonly bus: Bus
  readonly served: ServedContract
  readonly contexts: CallContext[]
  /** Sends a frame as a caller that is not ours. */
  frame(
    instance: string,
    frame: object,
  ): Promise<{ code?: string; items?: number[]; end?: object; credit?: { items: number } }>
  /** Opens a stream by hand. */
  open(method: string, input: object, payload?: object): Promise<{ stream: string; instance: string; code?: string }>
}

async function counting(maxOpen = 1_024): Promise<Counting> {
  const clock = new ManualClock()
  const bus = memoryBus({ clock })
  const contexts: CallContext[] = []
  const handlers: Handlers<typeof streamContract> = {
    async *count({ to }, context) {
      contexts.push(context)
      for (let item = 1; item <= to; item++) yield item
    },
    async sum(_, context, items) {
      contexts.push(context)
      for await (const item of items) if (item < 0) break
      return 0
    },
    async *shout(_input, context) {
      contexts.push(context)
      await new Promise(() => undefined)
      yield ''
    },
  }
  const served = await serveContract({
    bus,
    contract: streamContract,
    handlers,
    prefix,
    clock,
    logger,
    streams: { ...suiteLimits, maxOpen },
  })
  const ask = async (subject: string, payload: object) => {
    const bytes = Buffer.from(JSON.stringify(payload))
    const answer = await bus.request(subject, bytes, { deadline: clock.now() + 60_000 })
    return JSON.parse(Buffer.from(answer.payload).toString())
  }
  return {
    clock,
    bus,
    served,
    contexts,
    frame: (instance, frame) => ask(`${prefix}.sample.streams._i.${instance}.stream`, frame),
    open: (method, input, payload = { idleMs: 5_000 }) =>
      ask(`${prefix}.sample.streams.${method}`, { input, ...payload }),
  }
}

const credit = { items: 4, bytes: 1_000 }

test('a caller that is gone is noticed after the idle time, and the handler is freed', async t => {
  const { clock, contexts, open, served, frame } = await counting()
  const { stream, instance } = await open('count', { to: 100 })
  t.same((await frame(instance, { op: 'pull', stream, seq: 1, credit })).items, [1, 2, 3, 4])
  t.equal(served.inFlight, 1)
  await clock.pass(4_999)
  t.equal(contexts[0]?.signal.aborted, false)
  await clock.pass(1)
  t.equal(contexts[0]?.signal.aborted, true)
  t.match(contexts[0]?.signal.reason, { code: 'core.contract.stream-lost' })
  t.equal(served.inFlight, 0)
  t.match(await frame(instance, { op: 'pull', stream, seq: 2, credit }), { code: 'core.contract.stream-lost' })
})

test('a caller that only keeps in touch is not cut off, and a held pull is answered in time', async t => {
  const { clock, open, frame, contexts } = await counting()
  const { stream, instance } = await open('shout', { mark: '' })
  for (let seq = 1; seq <= 10; seq++) {
    const pulled = frame(instance, { op: 'pull', stream, seq, credit })
    await clock.pass(1_667)
    t.same(await pulled, { items: [] })
  }
  t.equal(contexts[0]?.signal.aborted, false)
})

test('a caller that ignores its credit, or speaks out of turn, is cut off by name', async t => {
  const violation = { code: 'core.contract.flow-violation' }
  const { open, frame, contexts } = await counting()
  const many = await open('sum', {})
  const items = Array.from({ length: 9 }, () => 1)
  t.match(await frame(many.instance, { op: 'push', stream: many.stream, seq: 1, items }), violation)
  t.match(contexts[0]?.signal.reason, violation)
  const enough = await open('sum', {})
  const eight = items.slice(1)
  const pushed = await frame(enough.instance, { op: 'push', stream: enough.stream, seq: 1, items: eight })
  t.ok((pushed.credit?.items ?? 0) >= 4, 'the window is what may be sent')
  t.match(await frame(enough.instance, { op: 'push', stream: enough.stream, seq: 3, items: [] }), violation)
  const twice = await open('shout', { mark: '' })
  const held = frame(twice.instance, { op: 'pull', stream: twice.stream, seq: 1, credit })
  t.match(await frame(twice.instance, { op: 'pull', stream: twice.stream, seq: 2, credit }), violation)
  t.match(await held, violation)
  const outOnly = await open('count', { to: 3 })
  t.match(await frame(outOnly.instance, { op: 'push', stream: outOnly.stream, seq: 1, items: [1] }), violation)
})

test('a caller that sends more than a stream may have is cut off', async t => {
  const { open, frame, contexts } = await counting()
  const { stream, instance } = await open('sum', {})
  const push = (seq: number) => ({ op: 'push', stream, seq, items: [1], pad: 'x'.repeat(1_850) })
  let seq = 0
  let total = 0
  const next = (): number => JSON.stringify(push(seq + 1)).length
  for (; total + next() <= 100_000; seq++) {
    total += next()
    t.match(await frame(instance, push(seq + 1)), { credit: {} })
  }
  const beyond = { code: 'core.contract.payload-too-large', field: 'items' }
  t.match(await frame(instance, push(seq + 1)), beyond)
  t.match(contexts[0]?.signal.reason, { code: 'core.contract.payload-too-large' })
})

test('frames that are not frames are refused and harm no stream', async t => {
  const { open, frame, served } = await counting(2)
  const { stream, instance } = await open('count', { to: 2 })
  for (const [bad, field] of [
    [{ op: 'pull', stream, seq: 1 }, 'credit'],
    [{ op: 'pull', stream, seq: 1, credit: { items: -1, bytes: 1 } }, 'credit/items'],
    [{ op: 'pull', stream, seq: 0.5, credit }, 'seq'],
    [{ op: 'push', stream, seq: 1, items: 'all' }, 'items'],
    [{ op: 'stop', stream }, 'op'],
    [{ op: 'pull', stream: 'a b', seq: 1, credit }, 'stream'],
    [[], ''],
  ] as const) {
    t.match(await frame(instance, bad), { code: 'core.contract.invalid-input', field }, field)
  }
  t.match(await frame(instance, { op: 'pull', stream: 'unknown', seq: 1, credit }), {
    code: 'core.contract.stream-lost',
  })
  t.match(await open('count', { to: 'x' }), { code: 'core.contract.invalid-input', field: 'to' })
  t.match(await open('count', { to: 1 }, {}), { code: 'core.contract.invalid-input', field: 'idleMs' })
  t.match(await open('count', { to: 1 }), { instance })
  t.match(await open('count', { to: 1 }), { code: 'core.bus.overloaded' })
  t.match(await frame(instance, { op: 'pull', stream, seq: 1, credit }), { items: [1, 2], end: {} })
  t.equal(served.inFlight, 1)
})

test('a server that ignores the credit, or dies, does not harm its caller', async t => {
  const clock = new ManualClock()
  const bus = memoryBus({ clock })
  const place = `${prefix}.sample.streams`
  let answer: object | undefined = { items: Array.from({ length: 9 }, (_, index) => index) }
  const cancelled: string[] = []
  const json = (value: unknown) => Buffer.from(JSON.stringify(value))
  await bus.subscribe(`${place}.count`, message =>
    message.respond?.(json({ stream: 's', instance: 'i', window: { items: 0, bytes: 0 }, idleMs: 5_000 })),
  )
  const frames = await bus.subscribe(`${place}._i.i.stream`, message => {
    const frame = JSON.parse(Buffer.from(message.payload).toString())
    if (frame.op === 'cancel') cancelled.push(frame.code)
    else if (answer !== undefined) return message.respond?.(json(answer))
    return undefined
  })
  const client = busClient({ bus, contract: streamContract, prefix, clock, ids, streams: suiteLimits })
  await t.rejects(allOf(client.count({ to: 9 })), { code: 'core.contract.flow-violation' })
  await clock.pass(1)
  t.same(cancelled, ['core.contract.flow-violation'])
  answer = { items: 'none' }
  await t.rejects(allOf(client.count({ to: 9 })), { code: 'core.contract.remote-error' })
  answer = undefined
  const silent = t.rejects(allOf(client.count({ to: 9 })), { code: 'core.contract.stream-lost' })
  await clock.pass(5_000)
  await silent
  await frames.drain()
  await t.rejects(allOf(client.count({ to: 9 })), { code: 'core.contract.stream-lost' })
})

test('a drain waits for open streams, which end as if nothing were', async t => {
  const { clock, bus, served } = await counting()
  const client = busClient({ bus, contract: streamContract, prefix, clock, ids, streams: suiteLimits })
  const reader = client.count({ to: 100 })[Symbol.asyncIterator]()
  t.equal((await reader.next()).value, 1)
  let drained = false
  const draining = served.drain().then(() => (drained = true))
  await clock.pass(1)
  t.equal(drained, false)
  await t.rejects(allOf(client.count({ to: 1 })), { code: 'core.bus.no-responder' })
  let last: unknown
  for (let step = await reader.next(); step.done !== true; step = await reader.next()) last = step.value
  t.equal(last, 100)
  await draining
  t.equal(drained, true)
})

test('methods with a stream are not part of the HTTP API, and the document says so', async t => {
  const document = openApiDocument({ title: 'x', version: '1.0.0', servers: [], contracts: [streamContract] })
  t.same(document['x-not-offered-over-http'], ['sample.streams.count', 'sample.streams.sum', 'sample.streams.shout'])
  t.same(document.paths, {})
  const { count } = streamContract.methods
  const methods = (count: object) => () => defineContract({ ...streamContract, methods: { count } as never })
  t.throws(methods({ ...count, http: { verb: 'GET', path: '/count' } }), /no place in the HTTP API/)
  t.throws(methods({ ...count, itemOutput: undefined }), /itemOutput/)
  t.throws(methods({ ...count, stream: 'in' }), /itemInput/)
  t.throws(methods({ ...count, stream: 'up' }), /stream must be/)
})
