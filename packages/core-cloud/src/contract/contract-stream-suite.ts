import assert from 'node:assert/strict'
import { Type } from 'typebox'
import type { CallContext } from '../kernel/context.js'
import { CloudError } from '../kernel/errors.js'
import { type Client, defineContract, type Handlers } from './contract.js'
import type { ContractFixture } from './contract-suite.js'
import type { StreamLimits } from './stream-limits.js'

/** A contract with one method for each way items can flow. */
export const streamContract = defineContract({
  name: 'sample.streams',
  version: '1.0.0',
  methods: {
    count: {
      summary: 'Counts from 1.',
      input: Type.Object({ to: Type.Integer(), failAt: Type.Optional(Type.Integer()) }),
      output: Type.Unknown(),
      stream: 'out',
      itemOutput: Type.Integer(),
      deadlineMs: 20_000,
    },
    sum: {
      summary: 'Adds what comes.',
      input: Type.Object({ enough: Type.Optional(Type.Integer()), waits: Type.Optional(Type.Boolean()) }),
      output: Type.Integer(),
      stream: 'in',
      itemInput: Type.Integer({ minimum: 0 }),
      deadlineMs: 20_000,
    },
    shout: {
      summary: 'Gives every word back in capitals.',
      input: Type.Object({ mark: Type.String() }),
      output: Type.Unknown(),
      stream: 'both',
      itemInput: Type.String(),
      itemOutput: Type.String(),
      scope: 'sample.shout',
      deadlineMs: 20_000,
    },
  },
})

interface Watch {
  /** Items that the handler of `count` made. */
  made: number
  context: CallContext | undefined
  /** The handler's generator was left. */
  left: number
  /** Items that the handler of `sum` read. */
  read: number
  /** Lets a waiting `sum` go on; there is one from the moment that its handler waits. */
  go: (() => void) | undefined
}

function streamHandlers(): { readonly handlers: Handlers<typeof streamContract>; readonly watch: Watch } {
  const watch: Watch = { made: 0, context: undefined, left: 0, read: 0, go: undefined }
  const handlers: Handlers<typeof streamContract> = {
    async *count({ to, failAt }, context) {
      watch.context = context
      try {
        for (let item = 1; item <= to; item++) {
          if (item === failAt) throw new CloudError('business.inventory.sold-out', 'no more', { details: { item } })
          watch.made = item
          yield item
        }
      } finally {
        watch.left += 1
      }
    },
    async sum({ enough, waits }, context, items) {
      watch.context = context
      if (waits === true) await new Promise<void>(resolve => (watch.go = resolve))
      let sum = 0
      for await (const item of items) {
        watch.read += 1
        sum += item
        if (enough !== undefined && sum >= enough) break
      }
      return sum
    },
    async *shout({ mark }, _, items) {
      for await (const word of items) yield word.toUpperCase() + mark
    },
  }
  return { handlers, watch }
}

export interface ContractStreamFixture extends ContractFixture {
  /** Items that may be under way in one direction: the fixture serves and calls with this limit. */
  readonly window: number
}

/** Limits of the fixture's streams; the idle time is long, so that only the tests of it meet it. */
export const suiteLimits: StreamLimits = { windowItems: 8, idleMs: 5_000, maxItemBytes: 1_000, maxTotalBytes: 100_000 }

export type ContractStreamTest = (name: string, fn: () => Promise<void>) => unknown
type Act = (on: {
  readonly client: Client<typeof streamContract>
  readonly watch: Watch
  readonly fixture: ContractStreamFixture
}) => Promise<void>
type On = (name: string, act: Act) => void

/**
 * What methods with streams promise on every surface that offers them.
 * @param options.remote - false: both ends are in one process, where items are neither checked nor measured.
 */
export function contractStreamSuite(
  test: ContractStreamTest,
  open: () => Promise<ContractStreamFixture>,
  { remote }: { readonly remote: boolean },
): void {
  const on: On = (name, act) => {
    test(name, async () => {
      await using fixture = await open()
      const { handlers, watch } = streamHandlers()
      const client = (await fixture.serve(streamContract, handlers))({ id: 'ada', scopes: ['sample.shout'] })
      await act({ client, watch, fixture })
    })
  }
  flowSuite(on)
  pressureSuite(on)
  endSuite(on)
  if (remote) checkSuite(on)
}

async function* numbers(to: number, seen?: (item: number) => void): AsyncGenerator<number> {
  for (let item = 1; item <= to; item++) {
    seen?.(item)
    yield item
  }
}

function flowSuite(on: On): void {
  on('items come out in order, all of them', async ({ client, watch }) => {
    const items: number[] = []
    for await (const item of client.count({ to: 1_000 })) items.push(item)
    assert.deepEqual(
      items,
      Array.from({ length: 1_000 }, (_, index) => index + 1),
    )
    assert.equal(watch.left, 1)
    for await (const _ of client.count({ to: 0 })) assert.fail('there is none')
  })

  on('items go in, of an asynchronous source or a list', async ({ client }) => {
    assert.equal(await client.sum({}, numbers(1_000)), 500_500)
    assert.equal(await client.sum({}, [1, 2, 3]), 6)
    assert.equal(await client.sum({}, []), 0)
  })

  on('items flow both ways at once', async ({ client }) => {
    const answers: string[] = []
    let asked = 0
    const words = async function* () {
      for (; asked < 100; asked++) {
        // The next word depends on the answer to the one before: neither side may wait for a full batch.
        await until(() => answers.length === asked)
        yield `w${asked}`
      }
    }
    for await (const answer of client.shout({ mark: '!' }, words())) answers.push(answer)
    assert.equal(answers.length, 100)
    assert.equal(answers[99], 'W99!')
  })

  on('a call begins with the first read, and its scope is checked', async ({ fixture }) => {
    const { handlers, watch } = streamHandlers()
    const eve = (await fixture.serve({ ...streamContract, name: 'sample.other' }, handlers))({ id: 'eve', scopes: [] })
    const items = eve.count({ to: 1 })
    await fixture.passTime(1)
    assert.equal(watch.context, undefined)
    assert.deepEqual(await allOf(items), [1])
    await assert.rejects(allOf(eve.shout({ mark: '' }, ['a'])), { code: 'core.contract.forbidden' })
  })
}

function pressureSuite(on: On): void {
  on('a slow reader stops the writer of a stream that goes out', async ({ client, watch, fixture }) => {
    const reader = client.count({ to: 100_000 })[Symbol.asyncIterator]()
    for (let taken = 1; taken <= 50; taken++) {
      assert.equal((await reader.next()).value, taken)
      await fixture.passTime(1)
      assert.ok(watch.made >= taken && watch.made <= taken + fixture.window, `${watch.made} made, ${taken} read`)
    }
    await reader.return?.()
  })

  on('a slow handler stops the writer of a stream that goes in', async ({ client, watch, fixture }) => {
    let given = 0
    const sum = client.sum(
      { waits: true },
      numbers(1_000, item => (given = item)),
    )
    await until(() => watch.go !== undefined)
    for (let turn = 0; turn < 20; turn++) await fixture.passTime(1)
    // The handler reads nothing yet: what was given waits in its window, or is the one item that no longer fits.
    assert.ok(given <= fixture.window + 1, `${given} were given`)
    watch.go?.()
    assert.equal(await sum, 500_500)
  })
}

function endSuite(on: On): void {
  on('a failing handler is known behind its items', async ({ client }) => {
    const items: number[] = []
    const failed = async (): Promise<void> => {
      for await (const item of client.count({ to: 100, failAt: 31 })) items.push(item)
    }
    await assert.rejects(failed(), { code: 'business.inventory.sold-out', message: 'no more', details: { item: 31 } })
    assert.equal(items.length, 30)
  })

  on('leaving the loop frees the handler', async ({ client, watch }) => {
    for await (const item of client.count({ to: 100_000 })) if (item === 3) break
    await until(() => watch.left === 1)
    await until(() => watch.context?.signal.aborted === true)
  })

  on('a handler that has enough frees the caller and its source', async ({ client, watch }) => {
    let left = false
    const source = async function* () {
      try {
        yield* numbers(100_000)
      } finally {
        left = true
      }
    }
    assert.equal(await client.sum({ enough: 10 }, source()), 10)
    assert.equal(watch.read, 4)
    await until(() => left)
  })

  on('a source that fails ends the call on both sides', async ({ client }) => {
    const source = async function* () {
      yield 1
      throw new CloudError('business.cart.empty', 'nothing in it')
    }
    await assert.rejects(client.sum({}, source()), { code: 'business.cart.empty' })
  })

  on('the deadline ends a stream on both sides', async ({ client, watch, fixture }) => {
    const reader = client.count({ to: 100_000 }, { deadline: fixture.clock.now() + 3_000 })[Symbol.asyncIterator]()
    assert.equal((await reader.next()).value, 1)
    await fixture.passTime(3_000)
    await assert.rejects(
      async () => {
        for (;;) if ((await reader.next()).done === true) return
      },
      { code: 'core.contract.deadline-exceeded' },
    )
    await until(() => watch.context?.signal.aborted === true)
    const waiting = assert.rejects(client.sum({ waits: true }, [], { deadline: fixture.clock.now() + 500 }), {
      code: 'core.contract.deadline-exceeded',
    })
    await fixture.passTime(500)
    await waiting
  })

  on('cancelling ends a stream on both sides', async ({ client, watch }) => {
    const controller = new AbortController()
    const reader = client.count({ to: 100_000 }, { signal: controller.signal })[Symbol.asyncIterator]()
    await reader.next()
    controller.abort(new Error('enough'))
    await assert.rejects(
      async () => {
        for (;;) if ((await reader.next()).done === true) return
      },
      { code: 'core.contract.cancelled' },
    )
    await until(() => watch.context?.signal.aborted === true)
    assert.equal((await reader.next()).done, true)
  })
}

function checkSuite(on: On): void {
  on('an item that does not fit its schema ends the call and is named', async ({ client }) => {
    const source = [1, -2, 3]
    await assert.rejects(client.sum({}, source), (error: unknown) => {
      assert.ok(CloudError.is(error, 'core.contract.invalid-input'), String(error))
      assert.match(error.message, /item.*>= 0/)
      return true
    })
  })

  on('items and streams have a largest size', async ({ client }) => {
    const mark = 'x'.repeat(1_000 - 2 - 1)
    assert.equal((await allOf(client.shout({ mark }, ['a'])))[0]?.length, 998)
    const tooLarge = { code: 'core.contract.payload-too-large', field: 'item' }
    await assert.rejects(allOf(client.shout({ mark }, ['ab'])), tooLarge)
    await assert.rejects(allOf(client.shout({ mark: '' }, ['x'.repeat(999)])), tooLarge)
    const words = Array.from({ length: 200 }, () => 'x'.repeat(600))
    await assert.rejects(allOf(client.shout({ mark: '' }, words)), {
      code: 'core.contract.payload-too-large',
      field: 'items',
    })
  })
}

/**
 * Waits for what takes some turns of the event loop: two in one process, on a busy machine with a server in between many
 * thousands. The bound is for what never happens, about two seconds.
 */
async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1_000_000 && !holds(); turn++) await new Promise<void>(resolve => setImmediate(resolve))
  assert.ok(holds())
}

/** All items, in order. */
export async function allOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
