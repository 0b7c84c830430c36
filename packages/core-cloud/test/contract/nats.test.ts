import { type Bus, memoryBus } from '@aaas/core-cloud/bus'
import { natsBus } from '@aaas/core-cloud/bus/nats'
import { type Clock, silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { findTestEngine, ManualClock, startNats } from '@aaas/testing'
import { connect, headers as newHeaders } from '@nats-io/transport-node'
import { test } from 'tap'
import { Type } from 'typebox'
import {
  type ContractStreamFixture,
  contractStreamSuite,
  suiteLimits,
} from '../../src/contract/contract-stream-suite.js'
import { type ContractFixture, contractSuite } from '../../src/contract/contract-suite.js'
import {
  busClient,
  type Contract,
  defineContract,
  type Handlers,
  type ServiceDirectory,
  serveContract,
  serveMicro,
} from '../../src/contract/index.js'
import { actingAs } from './fixture/acting.js'

const ids = systemIds()
const logger = silentLogger
const nats = findTestEngine('nats')

const greeter = defineContract({
  name: 'sample.greeter',
  version: '1.2.3',
  methods: {
    greet: {
      summary: 'Greets.',
      input: Type.Object({ name: Type.String({ minLength: 1 }) }),
      output: Type.Object({ text: Type.String() }),
    },
  },
})
const handlers = { greet: async ({ name }: { name: string }) => ({ text: `Hello, ${name}` }) }

test('discovery requests are answered as NATS services answer them', async t => {
  const clock = new ManualClock(Date.UTC(2026, 0, 2))
  const bus = memoryBus({ clock })
  const service = await serveContract({ bus, contract: greeter, handlers, prefix: 'site.a', clock, logger })
  const client = busClient({ bus, contract: greeter, prefix: 'site.a', clock, ids })
  await client.greet({ name: 'Ada' })
  await t.rejects(client.greet({ name: '' }))
  const { directory, ask } = fakeDirectory()
  const micro = await serveMicro({ directory, service, metadata: { zone: 'b' } })
  const identity = { name: 'sample-greeter', id: service.instance, version: '1.2.3' }
  const metadata = { 'aaas-contract': 'sample.greeter', zone: 'b' }
  for (const place of ['', '.sample-greeter', `.sample-greeter.${service.instance}`]) {
    t.same(ask(`$SRV.PING${place}`), [{ type: 'io.nats.micro.v1.ping_response', ...identity, metadata }])
    t.match(ask(`$SRV.STATS${place}`), [{ type: 'io.nats.micro.v1.stats_response', ...identity }])
  }
  const endpoint = { name: 'greet', subject: 'site.a.sample.greeter.greet', queue_group: 'sample.greeter' }
  t.same(ask('$SRV.INFO'), [
    {
      type: 'io.nats.micro.v1.info_response',
      ...identity,
      metadata,
      description: 'sample.greeter: greet',
      endpoints: [{ ...endpoint, metadata: { summary: 'Greets.' } }],
    },
  ])
  t.match(ask('$SRV.STATS'), [
    {
      started: '2026-01-02T00:00:00.000Z',
      endpoints: [
        {
          ...endpoint,
          num_requests: 2,
          num_errors: 1,
          last_error: /^core\.contract\.invalid-input: /,
          processing_time: 0,
          average_processing_time: 0,
        },
      ],
    },
  ])
  t.same(ask('$SRV.PING.other'), [])
  await micro[Symbol.asyncDispose]()
  t.same(ask('$SRV.PING'), [])
})

function fakeDirectory(): { directory: ServiceDirectory; ask: (subject: string) => unknown[] } {
  const handlersOf = new Map<string, Parameters<ServiceDirectory['subscribe']>[1]>()
  return {
    directory: {
      async subscribe(subject, handler) {
        handlersOf.set(subject, handler)
        return { drain: async () => void handlersOf.delete(subject) }
      },
    },
    ask(subject) {
      const answers: unknown[] = []
      handlersOf.get(subject)?.({
        respond: payload => void answers.push(JSON.parse(Buffer.from(payload).toString())),
      })
      return answers
    },
  }
}

const skip = 'skip' in nats ? { skip: nats.skip } : {}

test('over NATS', skip, async t => {
  if ('skip' in nats) return
  await using servers = await startNats({ program: nats.path, config: 'max_payload: 9MB', streams: false })
  const open = (clock: Clock): Promise<Bus> => natsBus({ servers: servers.urls, clock, ids, logger })
  const fixture = async (): Promise<ContractStreamFixture & ContractFixture> => {
    const clock = new ManualClock(systemClock().now())
    const [near, far] = [await open(clock), await open(clock)]
    return {
      clock,
      window: 8,
      passTime: ms => clock.pass(ms),
      async serve<C extends Contract>(contract: C, served: Handlers<C>) {
        await serveContract({
          bus: far,
          contract,
          handlers: served,
          prefix: 'site.a',
          clock,
          logger,
          streams: suiteLimits,
        })
        const client = busClient({ bus: near, contract, prefix: 'site.a', clock, ids, streams: suiteLimits })
        return actor => actingAs(client, contract, actor)
      },
      async [Symbol.asyncDispose]() {
        for (const bus of [near, far]) await bus[Symbol.asyncDispose]()
      },
    }
  }
  await t.test('calls', async t =>
    contractSuite((name, fn) => t.test(name, fn), fixture, { validates: true, tenant: 'of the call' }),
  )
  await t.test('streams', async t => contractStreamSuite((name, fn) => t.test(name, fn), fixture, { remote: true }))

  await t.test('a plain client calls with JSON and finds the service', async t => {
    const clock = systemClock()
    const bus = await open(clock)
    const plain = await connect({ servers: [...servers.urls] })
    const service = await serveContract({ bus, contract: greeter, handlers, prefix: 'site.a', clock, logger })
    const directory: ServiceDirectory = {
      async subscribe(subject, handler) {
        const subscription = plain.subscribe(subject, {
          callback: (_, message) => handler({ respond: payload => void message.respond(payload) }),
        })
        await plain.flush()
        return subscription
      },
    }
    const micro = await serveMicro({ directory, service })
    const ask = async (subject: string, payload: string) =>
      plain.request(subject, payload, { timeout: 5_000, headers: newHeaders() })
    const answer = await ask('site.a.sample.greeter.greet', '{"name":"Ada"}')
    t.same(answer.json(), { text: 'Hello, Ada' })
    t.notOk(answer.headers?.has('error'))
    const refused = await ask('site.a.sample.greeter.greet', '{"name":""}')
    t.match(refused.json(), { code: 'core.contract.invalid-input', field: 'name' })
    t.equal(refused.headers?.get('nats-service-error-code'), '400')
    t.match(refused.headers?.get('nats-service-error'), /^core\.contract\.invalid-input: .*name/)
    const found = (await ask('$SRV.STATS.sample-greeter', '')).json<{ id: string; endpoints: object[] }>()
    t.equal(found.id, service.instance)
    t.match(found.endpoints, [{ name: 'greet', num_requests: 2, num_errors: 1 }])
    await micro[Symbol.asyncDispose]()
    await service.drain()
    await plain.close()
    await bus[Symbol.asyncDispose]()
  })
})
