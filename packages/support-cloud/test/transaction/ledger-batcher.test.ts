import { CloudError } from '@aaas/core-cloud/kernel'
import type { Database } from '@aaas/support-cloud/rdbms'
import { createLedgerBatcher, type LedgerTransfer, openLedger } from '@aaas/support-cloud/transaction'
import { ManualClock, seededIds } from '@aaas/testing'
import { test } from 'tap'
import { openLedgerDatabase } from './ledger-fixture.js'

const ids = seededIds(7)
const move = (extra: Partial<LedgerTransfer> = {}): LedgerTransfer =>
  ({
    ...{ kind: 'posted', id: ids.uuid(), debit: 'a', credit: 'b', amount: 1, currency: 'CNY', code: 'x', ...extra },
  }) as LedgerTransfer

/** A database whose answers a test holds back, counts, and loses. */
function gate(database: Database) {
  const calls: number[] = []
  const waiting: (() => void)[] = []
  let open = true
  let lose: 'before' | 'after' | undefined
  const gated: Database = {
    url: database.url,
    transaction: work => database.transaction(work),
    script: sql => database.script(sql),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
    async query(statement) {
      calls.push((JSON.parse(String(statement.values?.[0])) as unknown[]).length)
      if (!open) await new Promise<void>(resolve => waiting.push(resolve))
      const how = lose
      lose = undefined
      const lost = (): CloudError => new CloudError('support.rdbms.unavailable', 'lost')
      if (how === 'before') throw lost()
      const rows = await database.query(statement)
      if (how === 'after') throw lost()
      return rows as never
    },
  }
  return {
    gated,
    calls,
    hold: () => {
      open = false
    },
    release: () => {
      open = true
      for (const go of waiting.splice(0)) go()
    },
    loseOne: (how: 'before' | 'after') => {
      lose = how
    },
  }
}

async function setUp(t: { teardown(fn: () => Promise<void>): unknown }) {
  const database = await openLedgerDatabase(t)
  const ledger = openLedger({ database })
  await ledger.createAccounts([
    { id: 'a', currency: 'CNY' },
    { id: 'b', currency: 'CNY' },
    { id: 'poor', currency: 'CNY', limit: 'debits-within-credits' },
  ])
  return { ledger, ...gate(database) }
}

test('callers that wait at the same time share a call, and each has its own results', async t => {
  const { ledger, gated, calls, hold, release } = await setUp(t)
  const clock = new ManualClock()
  await using batcher = createLedgerBatcher({ database: gated, clock, lanes: 1, maxBatch: 10 })
  await batcher.submit([move()])
  t.same(calls, [1], 'a single caller does not wait')
  hold()
  const first = batcher.submit([move()])
  await clock.pass(0)
  const chain = [move({ linked: true }), move({ debit: 'poor' })]
  const others = Array.from({ length: 12 }, (_, n) => batcher.submit(n === 3 ? chain : [move({ amount: n + 1 })]))
  t.equal(batcher.waiting, 13)
  release()
  t.match(await first, [{ status: 'applied' }])
  const results = await Promise.all(others)
  for (const [n, result] of results.entries()) {
    if (n === 3) t.match(result, [{ reason: 'linked-failed' }, { reason: 'exceeds-credits' }])
    else t.match(result, [{ status: 'applied', amount: n + 1, repeated: false }])
  }
  t.same(calls, [1, 1, 10, 3], 'as many as wait, up to the limit, chains whole')
  t.match(await ledger.verify(), { ok: true })
})

test('a lost connection or commit is resolved by the same call', async t => {
  const { ledger, gated, loseOne } = await setUp(t)
  const clock = new ManualClock()
  await using batcher = createLedgerBatcher({ database: gated, clock })
  for (const how of ['before', 'after'] as const) {
    loseOne(how)
    let over = false
    const answer = batcher.submit([move()]).finally(() => {
      over = true
    })
    // The database answers in its own time; ours goes on until it has.
    while (!over) await clock.pass(10)
    t.match(await answer, [{ status: 'applied', repeated: how === 'after' }], how)
  }
  t.match(await ledger.balances(['b']), [{ creditsPosted: 2 }])
})

test('the queue is bounded, and callers may leave it', async t => {
  const { ledger, gated, hold, release } = await setUp(t)
  const clock = new ManualClock()
  const batcher = createLedgerBatcher({ database: gated, clock, lanes: 1, maxQueue: 3 })
  hold()
  const underWay = batcher.submit([move()])
  await clock.pass(0)
  const control = new AbortController()
  const aborted = t.rejects(batcher.submit([move()], { signal: control.signal }), { message: 'gone' })
  const late = t.rejects(batcher.submit([move()], { deadline: clock.now() + 50 }), {
    code: 'core.contract.deadline-exceeded',
  })
  const patient = batcher.submit([move()])
  await t.rejects(batcher.submit([move()]), { code: 'support.transaction.overloaded', retryable: true })
  control.abort(new Error('gone'))
  await aborted
  await clock.pass(51)
  await late
  t.equal(batcher.waiting, 1)
  const closing = batcher[Symbol.asyncDispose]()
  await t.rejects(batcher.submit([move()]), { code: 'support.transaction.overloaded' })
  release()
  t.match(await Promise.all([underWay, patient]), [[{ status: 'applied' }], [{ status: 'applied' }]])
  await closing
  t.match(await ledger.balances(['b']), [{ creditsPosted: 2 }], 'who left the queue in time was not served')
})

test('what is malformed never reaches the others', async t => {
  const { gated, calls } = await setUp(t)
  await using batcher = createLedgerBatcher({ database: gated, clock: new ManualClock(), within: 'a' })
  await t.rejects(batcher.submit([move({ amount: 0 })]), {
    code: 'support.transaction.invalid-transfer',
    field: 'transfers/0/amount',
  })
  await t.rejects(batcher.submit([move({ credit: 'b' })]), {
    code: 'support.transaction.unknown-account',
    field: 'transfers/0/credit',
  })
  t.same(calls, [])
  for (const [field, value] of Object.entries({ lanes: 17, maxBatch: 1001, maxQueue: 0 })) {
    const options = { database: gated, clock: new ManualClock(), [field]: value }
    t.throws(() => createLedgerBatcher(options), { code: 'core.kernel.invalid-config', field })
  }
})
