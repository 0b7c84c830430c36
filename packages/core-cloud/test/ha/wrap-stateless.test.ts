import assert from 'node:assert/strict'
import { memoryBus } from '@aaas/core-cloud/bus'
import { type Client, defineContract } from '@aaas/core-cloud/contract'
import { CloudError } from '@aaas/core-cloud/kernel'
import { ManualClock, seededIds, seededRandom } from '@aaas/testing'
import { test } from 'tap'
import { Type } from 'typebox'
import { openHa } from '../../src/ha/ha.js'

const Answer = Type.Object({ by: Type.String(), n: Type.Integer() })
const contract = defineContract({
  name: 'test.work',
  version: '1.2.0',
  methods: {
    look: { summary: 'Looks.', input: Type.Object({ n: Type.Integer() }), output: Answer, idempotent: true },
    act: { summary: 'Acts.', input: Type.Object({ n: Type.Integer() }), output: Answer },
    count: {
      summary: 'Counts.',
      input: Type.Object({ to: Type.Integer() }),
      output: Type.Null(),
      stream: 'out',
      itemOutput: Type.Integer(),
    },
  },
})
type WorkClient = Client<typeof contract>
type Call = WorkClient['look']

/** An endpoint whose calls take `ms` and which can be made to fail. */
class Fake {
  ms = 5
  mode: 'well' | 'silent' | 'cut' | 'gone' | 'busy' | 'says-no' = 'well'
  done: number[] = []
  running = 0

  constructor(
    readonly id: string,
    readonly clock: ManualClock,
    readonly zone?: string,
  ) {}

  get endpoint() {
    const call: Call = input => this.#serve(input.n)
    const count: WorkClient['count'] = input => this.#count(input.to)
    const client: WorkClient = { look: call, act: call, count }
    return { id: this.id, client, ...(this.zone === undefined ? {} : { zone: this.zone }) }
  }

  async *#count(to: number): AsyncGenerator<number, void> {
    for (let n = 1; n <= to; n++) yield n
  }

  async #serve(n: number): Promise<{ readonly by: string; readonly n: number }> {
    if (this.mode === 'gone') throw new CloudError('core.bus.no-responder', 'nobody')
    if (this.mode === 'busy') throw new CloudError('core.bus.overloaded', 'full')
    if (this.mode === 'silent') return await new Promise(() => undefined)
    this.running += 1
    await new Promise<void>(resolve => this.clock.after(this.ms, resolve))
    this.running -= 1
    if (this.mode === 'says-no') throw new CloudError('core.contract.forbidden', 'no')
    this.done.push(n)
    if (this.mode === 'cut') throw new CloudError('core.bus.disconnected', 'cut')
    return { by: this.id, n }
  }
}

function world(
  count: number,
  options: Parameters<ReturnType<typeof openHa>['wrap']>[1] | object = {},
  zones?: readonly string[],
) {
  const clock = new ManualClock()
  const fakes = Array.from({ length: count }, (_, at) => new Fake(`e${at}`, clock, zones?.[at]))
  const ha = openHa({ clock, ids: seededIds(7), ...(zones?.[0] === undefined ? {} : { zone: zones[0] }) })
  const service = ha.wrap(contract, { ...options, mode: 'stateless', endpoints: fakes.map(fake => fake.endpoint) })
  return { clock, fakes, service }
}

/** Starts a call every millisecond or so. @returns what became of them. */
async function load(clock: ManualClock, call: Call, calls: number, during: (n: number) => void = () => undefined) {
  const random = seededRandom(1)
  const failures: unknown[] = []
  const answers: { readonly by: string; readonly ms: number }[] = []
  const all: Promise<void>[] = []
  for (let n = 0; n < calls; n++) {
    during(n)
    const began = clock.monotonic()
    all.push(
      call({ n }, { deadline: clock.now() + 2_000 }).then(
        answer => {
          assert.equal(answer.n, n)
          answers.push({ by: answer.by, ms: clock.monotonic() - began })
        },
        (error: unknown) => {
          failures.push(error)
        },
      ),
    )
    await clock.pass(random() * 2)
  }
  await clock.pass(5_000)
  await Promise.all(all)
  return { failures, answers }
}

for (const mode of ['silent', 'cut', 'gone'] as const) {
  test(`no idempotent call fails when an endpoint is suddenly ${mode}, and few are slow`, async () => {
    const { clock, fakes, service } = world(3)
    const { failures, answers } = await load(clock, service.client.look, 800, n => {
      if (n === 300) fakes[0]!.mode = mode
    })
    assert.deepEqual(failures, [])
    assert.equal(answers.length, 800)
    const slow = answers.filter(({ ms }) => ms > 100).length
    assert.ok(slow <= 8, `${slow} calls took more than 100 ms`)
  })
}

test('a call that is not idempotent is never done twice, and repeated only when nothing was done', async () => {
  const { clock, fakes, service } = world(3)
  const { failures } = await load(clock, service.client.act, 400, n => {
    if (n === 100) fakes[0]!.mode = 'gone'
    if (n === 250) fakes[1]!.mode = 'cut'
  })
  const done = fakes.flatMap(fake => fake.done)
  assert.equal(new Set(done).size, done.length, 'done twice')
  assert.ok(failures.length > 0)
  for (const error of failures) assert.ok(CloudError.is(error, 'core.bus.disconnected'))
})

test('a refusal of the service itself is the answer', async () => {
  const { clock, fakes, service } = world(3)
  for (const fake of fakes) fake.mode = 'says-no'
  const { failures } = await load(clock, service.client.look, 20)
  assert.equal(failures.length, 20)
  assert.ok(failures.every(error => CloudError.is(error, 'core.contract.forbidden')))
  assert.ok(service.view().every(({ ejected }) => !ejected))
})

test('in a full outage attempts are at most 1.2 of the calls, beyond ten a second', async () => {
  const { clock, fakes, service } = world(4)
  let attempts = 0
  for (const fake of fakes) fake.mode = 'cut'
  const counted = fakes.map(fake => fake.endpoint)
  service.update(
    counted.map(endpoint => ({
      ...endpoint,
      client: {
        ...endpoint.client,
        look: (input: { readonly n: number }) => {
          attempts += 1
          return endpoint.client.look(input)
        },
      },
    })),
  )
  await load(clock, service.client.look, 2_000)
  assert.ok(attempts <= 2_000 * 1.2 + 10, `${attempts} attempts of 2000 calls`)
})

test('a slow endpoint gets few calls', async () => {
  const { clock, fakes, service } = world(5)
  fakes[0]!.ms = 50
  const { answers } = await load(clock, service.client.look, 1_000)
  const slow = answers.filter(({ by }) => by === 'e0').length
  assert.ok(slow < 60, `${slow} of 1000`)
})

test('calls stay in the zone as long as it can take them', async () => {
  const { clock, fakes, service } = world(4, {}, ['z1', 'z1', 'z2', 'z2'])
  const { answers, failures } = await load(clock, service.client.look, 300, n => {
    if (n !== 150) return
    fakes[0]!.mode = 'gone'
    fakes[1]!.mode = 'gone'
  })
  assert.deepEqual(failures, [])
  const early = answers.slice(0, 140)
  assert.ok(early.every(({ by }) => by === 'e0' || by === 'e1'))
  assert.ok(answers.slice(200).every(({ by }) => by === 'e2' || by === 'e3'))
})

test('calls of one key go to one endpoint', async () => {
  const keyOf = (_: string, input: unknown): string => `k${(input as { readonly n: number }).n % 10}`
  const { clock, service } = world(4, { keyOf })
  const places = new Map<string, Set<string>>()
  for (let n = 0; n < 100; n++) {
    const answer = service.client.look({ n })
    await clock.pass(10)
    const key = keyOf('', { n })
    places.set(key, (places.get(key) ?? new Set()).add((await answer).by))
  }
  assert.ok([...places.values()].every(place => place.size === 1))
  assert.ok(new Set([...places.values()].map(place => [...place][0])).size > 1)
})

test('calls wait for a place, and are refused when too many do', async () => {
  const { clock, fakes, service } = world(1, {
    maxWaiting: 5,
    hedgeMs: false,
    balance: { concurrency: { initial: 4 } },
  })
  fakes[0]!.ms = 100
  const outcomes = Array.from({ length: 12 }, (_, n) =>
    service.client.act({ n }).then(
      () => 'done',
      (error: unknown) => (error as CloudError).code,
    ),
  )
  await clock.pass(0)
  assert.equal(fakes[0]?.running, 4)
  await clock.pass(1_000)
  const counts = (await Promise.all(outcomes)).filter(outcome => outcome === 'done').length
  assert.equal(counts, 9)
  assert.ok((await Promise.all(outcomes)).slice(9).every(outcome => outcome === 'core.ha.overloaded'))
})

test('a busy endpoint’s calls go to another one', async () => {
  const { clock, fakes, service } = world(3)
  fakes[1]!.mode = 'busy'
  const { failures } = await load(clock, service.client.act, 300)
  assert.deepEqual(failures, [])
})

test('a cancelled call and one whose time is over end at once', async () => {
  const { clock, fakes, service } = world(2)
  for (const fake of fakes) fake.ms = 10_000
  const controller = new AbortController()
  const call = service.client.act({ n: 1 }, { signal: AbortSignal.abort(new Error('enough')) })
  await assert.rejects(call, { code: 'core.contract.cancelled' })
  await assert.rejects(service.client.act({ n: 1 }, { deadline: clock.now() }), {
    code: 'core.contract.deadline-exceeded',
  })
  controller.abort()
})

test('instances are found on the bus, come and go, and answer streams', async () => {
  const clock = new ManualClock()
  await using bus = memoryBus({ clock })
  const at = (node: number, zone: string) => openHa({ clock, ids: seededIds(node), bus, zone })
  const caller = at(1, 'z1').wrap(contract, { mode: 'stateless' })
  const handlers = (by: string) => ({
    look: async ({ n }: { readonly n: number }) => ({ by, n }),
    act: async ({ n }: { readonly n: number }) => ({ by, n }),
    async *count({ to }: { readonly to: number }) {
      for (let n = 1; n <= to; n++) yield n
    },
  })
  const nobody = caller.client.look({ n: 0 })
  const refused = assert.rejects(nobody, { code: 'core.bus.no-responder' })
  await clock.pass(1_500)
  await refused
  const provide = async (node: number, by: string) => {
    const providing = at(node, 'z1').wrap(contract, { mode: 'stateless' }).provide(handlers(by))
    await clock.pass(100)
    return await providing
  }
  const one = await provide(2, 'one')
  const two = await provide(3, 'two')
  const seen = async (): Promise<string[]> => {
    const found = new Set<string>()
    for (let n = 0; n < 30; n++) {
      const answer = caller.client.look({ n })
      await clock.pass(20)
      found.add((await answer).by)
    }
    return [...found].sort()
  }
  assert.deepEqual(await seen(), ['one', 'two'])
  const items: number[] = []
  const reading = (async () => {
    for await (const n of caller.client.count({ to: 3 })) items.push(n)
  })()
  await clock.pass(1_000)
  await reading
  assert.deepEqual(items, [1, 2, 3])
  const leaving = one[Symbol.asyncDispose]()
  await clock.pass(100)
  await leaving
  assert.deepEqual(await seen(), ['two'])
  const last = two[Symbol.asyncDispose]()
  await clock.pass(100)
  await last
  await caller[Symbol.asyncDispose]()
})

test('without a bus the instance of this process serves', async () => {
  const clock = new ManualClock()
  const service = openHa({ clock, ids: seededIds() }).wrap(contract, { mode: 'stateless' })
  const look = async ({ n }: { readonly n: number }) => ({ by: 'me', n })
  await service.provide({ look, act: look, async *count() {} })
  assert.deepEqual(await service.client.look({ n: 3 }), { by: 'me', n: 3 })
})

test('wrong options are refused with their field', async () => {
  const clock = new ManualClock()
  const ha = openHa({ clock, ids: seededIds() })
  const refusal = (field: string) => ({ code: 'core.ha.invalid-argument', field })
  assert.throws(() => ha.wrap(contract, { mode: 'stateless', maxAttempts: 11 }), refusal('maxAttempts'))
  assert.throws(() => ha.wrap(contract, { mode: 'stateless', hedgeMs: 0 }), refusal('hedgeMs'))
  assert.throws(() => ha.wrap(contract, { mode: 'stateless', refreshMs: 99 }), refusal('refreshMs'))
  assert.throws(() => ha.wrap(contract, { mode: 'other' as never }), refusal('mode'))
  assert.throws(() => ha.wrap(contract, { mode: 'singleton' }), refusal('coordination'))
  assert.throws(() => openHa({ clock, ids: seededIds(), prefix: 'a b' }), refusal('prefix'))
})
