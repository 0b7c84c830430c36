import { test } from 'tap'
import { BatchLanes, type BatchLanesOptions, type Settled } from '../../src/order/batch-lanes.js'

interface Item {
  readonly key: string
  readonly unwanted?: Error
}
interface Batch {
  readonly keys: readonly string[]
  end(results?: readonly Settled<string>[]): void
  fail(error: Error): void
}

/** Lanes whose batches end when the test says so. */
function manual(options: Partial<BatchLanesOptions<Item, string>> = {}) {
  const batches: Batch[] = []
  let now = 0
  const lanes = new BatchLanes<Item, string>({
    lanes: 3,
    lateMs: 100,
    most: 4,
    now: () => now,
    keyOf: item => item.key,
    refusal: item => item.unwanted,
    run: items =>
      new Promise((resolve, reject) => {
        const all: Settled<string>[] = items.map(item => ({ status: 'fulfilled', value: `did ${item.key}` }))
        batches.push({ keys: items.map(item => item.key), end: (results = all) => resolve(results), fail: reject })
      }),
    ...options,
  })
  const add = (...keys: string[]): Promise<string>[] => keys.map(key => lanes.add({ key }))
  const turn = (): Promise<void> => new Promise(resolve => setImmediate(() => setImmediate(resolve)))
  const pass = (ms: number): void => {
    now += ms
  }
  return { lanes, batches, add, turn, pass, keys: () => batches.map(batch => batch.keys.join('')) }
}

test('calls of one turn go together, later ones when those are done, the oldest first', async t => {
  const { lanes, batches, add, turn, keys } = manual()
  const first = add('a', 'b')
  await turn()
  const later = add('c', 'd', 'e', 'f', 'g')
  await turn()
  t.same([keys(), lanes.waiting], [['ab'], 5])
  batches[0]?.end()
  t.same(await Promise.all(first), ['did a', 'did b'])
  t.same(keys(), ['ab', 'cdef'], 'at most four')
  const last = add('h')
  batches[1]?.end()
  await turn()
  t.same(keys(), ['ab', 'cdef', 'gh'])
  batches[2]?.end()
  t.same(
    await Promise.all([...later, ...last]),
    ['c', 'd', 'e', 'f', 'g', 'h'].map(key => `did ${key}`),
  )
  t.equal(lanes.waiting, 0)
})

test('two of one key never go together', async t => {
  const { batches, add, turn, keys } = manual()
  const all = add('a', 'a', 'b', 'a')
  for (let round = 0; round < 3; round++) {
    await turn()
    batches[round]?.end()
  }
  await Promise.all(all)
  t.same(keys(), ['ab', 'a', 'a'])
})

test('each gets its own answer; a batch that fails fails all of it and nothing else', async t => {
  const { batches, add, turn } = manual()
  const mixed = add('a', 'b', 'c')
  await turn()
  const others = add('d', 'e')
  batches[0]?.end([
    { status: 'rejected', reason: new Error('not a') },
    { status: 'fulfilled', value: 'b' },
  ])
  const answers = await Promise.allSettled(mixed)
  t.match(answers, [{ reason: { message: 'not a' } }, { value: 'b' }, { reason: { message: /no answer/ } }])
  batches[1]?.fail(new Error('lost'))
  t.match(await Promise.allSettled(others), [{ reason: { message: 'lost' } }, { reason: { message: 'lost' } }])
  const [next] = add('f')
  await turn()
  batches[2]?.end()
  t.equal(await next, 'did f')
})

test('who is no longer wanted at their turn takes no part', async t => {
  const { lanes, batches, add, turn, keys } = manual()
  const [held] = add('a')
  await turn()
  const gone = lanes.add({ key: 'x', unwanted: new Error('too late') })
  const [stays] = add('b')
  batches[0]?.end()
  await t.rejects(gone, { message: 'too late' })
  batches[1]?.end()
  t.same([await held, await stays, keys()], ['did a', 'did b', ['a', 'b']])
})

test('a batch that hangs does not stop the others', async t => {
  const { batches, add, turn, pass, keys } = manual()
  const hanging = add('a')
  await turn()
  const waiting = add('b')
  pass(99)
  await turn()
  t.same(keys(), ['a'])
  pass(1)
  waiting.push(...add('c'))
  await turn()
  t.same(keys(), ['a', 'bc'])
  for (const key of ['d', 'e']) {
    pass(100)
    waiting.push(...add(key))
    await turn()
  }
  t.same(keys(), ['a', 'bc', 'd'], 'three lanes are all')
  batches[1]?.end()
  await turn()
  pass(100)
  batches[2]?.end()
  await turn()
  t.same(keys(), ['a', 'bc', 'd', 'e'])
  batches[3]?.end()
  t.same(await Promise.all(waiting), ['did b', 'did c', 'did d', 'did e'])
  batches[0]?.end()
  t.same(await Promise.all(hanging), ['did a'])
})
