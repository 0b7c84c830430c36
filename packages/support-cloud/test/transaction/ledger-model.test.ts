import { CloudError } from '@aaas/core-cloud/kernel'
import { type Database, migrate, pgDatabase } from '@aaas/support-cloud/rdbms'
import {
  type Ledger,
  type LedgerAccount,
  type LedgerTransfer,
  openLedger,
  transactionMigrations,
} from '@aaas/support-cloud/transaction'
import { openTestDatabase, seededIds, seededRandom } from '@aaas/testing'
import fc from 'fast-check'
import { test } from 'tap'
import { LedgerOracle } from './ledger-oracle.js'

async function openDatabase(t: { teardown(fn: () => Promise<void>): unknown }, maxConnections = 4): Promise<Database> {
  const server = await openTestDatabase()
  const database = pgDatabase({ url: server.url, maxConnections })
  t.teardown(async () => {
    await database[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })
  await migrate(database, [transactionMigrations])
  return database
}

const accountsOf = (run: number): readonly LedgerAccount[] => [
  { id: `bank-${run}`, currency: 'CNY', shards: 3 },
  { id: `alice-${run}`, currency: 'CNY', limit: 'debits-within-credits' },
  { id: `bob-${run}`, currency: 'CNY', limit: 'debits-within-credits' },
  { id: `cap-${run}`, currency: 'CNY', limit: 'credits-within-debits' },
]

/** Small ranges, so that repeats, conflicts and resolutions of the same transfer happen often. */
const step = fc.record({
  kind: fc.constantFrom('posted', 'posted', 'pending', 'pending', 'post', 'void'),
  id: fc.integer({ min: 4, max: 60 }),
  pending: fc.nat(9),
  debit: fc.constantFrom(0, 0, 0, 0, 1, 2, 3, 4),
  credit: fc.constantFrom(0, 1, 1, 1, 2, 2, 3, 4),
  amount: fc.integer({ min: 0, max: 40 }),
  part: fc.boolean(),
})
/** Money for the limited accounts and something to resolve. */
const prelude: readonly (readonly Step[])[] = [
  [0, 1, 2].map(n => ({
    kind: 'posted',
    id: n + 61,
    pending: 0,
    debit: n,
    credit: (n + 1) % 3,
    amount: 60 - 20 * n,
    part: false,
  })),
  [0, 1, 2, 3, 4, 5].map(n => ({
    kind: 'pending',
    id: n,
    pending: 0,
    debit: n % 3,
    credit: (n + 1) % 3,
    amount: 10,
    part: false,
  })),
]
type Step = { kind: string; id: number; pending: number; debit: number; credit: number; amount: number; part: boolean }

function transferOf(run: number, accounts: readonly LedgerAccount[], one: Step): LedgerTransfer {
  const uuid = (n: number): string =>
    `00000000-0000-7000-${(0x8000 + run).toString(16)}-${n.toString(16).padStart(12, '0')}`
  const account = (n: number): string => accounts[n]?.id ?? 'nobody'
  if (one.kind === 'post' || one.kind === 'void') {
    const amount = one.kind === 'post' && one.part ? { amount: one.amount } : {}
    return { kind: one.kind, id: uuid(one.id), pending: uuid(one.pending), ...amount }
  }
  const kind = one.kind === 'posted' ? 'posted' : 'pending'
  return {
    kind,
    id: uuid(one.id),
    debit: account(one.debit),
    credit: account(one.credit),
    amount: one.amount,
    currency: 'CNY',
    code: 'x',
  }
}

async function outcome(ledger: Ledger, calls: readonly LedgerTransfer[]): Promise<number | undefined> {
  try {
    return await ledger.apply(calls)
  } catch (error) {
    if (CloudError.is(error) && error.code.startsWith('support.transaction.')) return undefined
    throw error
  }
}

test('any calls leave the ledger as the oracle says', async t => {
  const database = await openDatabase(t)
  const ledger = openLedger({ database })
  let run = 0
  let accepted = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(step, { minLength: 1, maxLength: 2 }), { minLength: 15, maxLength: 40 }),
      async calls => {
        run += 1
        const accounts = accountsOf(run)
        await ledger.createAccounts(accounts)
        const oracle = new LedgerOracle(accounts)
        for (const call of [...prelude, ...calls]) {
          const transfers = call.map(one => transferOf(run, accounts, one))
          const expected = oracle.apply(transfers)
          const actual = await outcome(ledger, transfers)
          if (actual !== expected) throw new Error(`${actual} instead of ${expected}: ${JSON.stringify(transfers)}`)
          accepted += expected ?? 0
        }
        for (const row of await ledger.balances(accounts.map(account => account.id))) {
          const counters = [row.debitsPosted, row.creditsPosted, row.debitsPending, row.creditsPending]
          const wanted = oracle.counters(row.account)
          if (counters.join() !== wanted.join()) throw new Error(`${row.account}: ${counters} instead of ${wanted}`)
        }
      },
    ),
    { numRuns: 16, seed: 20_261_120 },
  )
  t.ok(accepted > 200, `the calls are not all refused: ${accepted} transfers`)
  t.match(await ledger.check(), { balanced: true, wrongAccounts: [] })
})

test('concurrent calls and dying connections lose and double nothing', async t => {
  const database = await openDatabase(t, 10)
  const ledger = openLedger({ database })
  const ids = seededIds(3)
  await ledger.createAccounts([
    { id: 'bank', currency: 'CNY', shards: 4 },
    { id: 'shop', currency: 'CNY', shards: 4 },
    { id: 'wallet', currency: 'CNY', limit: 'debits-within-credits' },
  ])
  await ledger.apply([
    { kind: 'posted', id: ids.uuid(), debit: 'bank', credit: 'wallet', amount: 300, currency: 'CNY', code: 'fund' },
  ])
  const sides = [
    ['bank', 'shop'],
    ['shop', 'bank'],
    ['wallet', 'shop'],
    ['bank', 'wallet'],
  ] as const
  const random = seededRandom(11)
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  const calls = Array.from({ length: 150 }, () =>
    Array.from({ length: 1 + Math.floor(random() * 3) }, (): LedgerTransfer => {
      const [debit, credit] = pick(sides)
      return {
        kind: 'posted',
        id: ids.uuid(),
        debit,
        credit,
        amount: 1 + Math.floor(random() * 9),
        currency: 'CNY',
        code: 'x',
      }
    }),
  )
  // Every call is made by two workers at once, the second with its transfers in the opposite order.
  const work = calls.flatMap(call => [call, call.toReversed()])
  const acknowledged = new Map<string, LedgerTransfer>()
  let broken = 0
  let finishedOne: () => void = () => undefined
  const worker = async (): Promise<void> => {
    for (let call = work.shift(); call !== undefined; call = work.shift()) {
      for (let attempt = 1; ; attempt++) {
        try {
          if ((await outcome(ledger, call)) !== undefined)
            for (const transfer of call) acknowledged.set(transfer.id, transfer)
          finishedOne()
          break
        } catch (error) {
          if (!CloudError.is(error, 'support.rdbms.unavailable') || attempt === 50) throw error
          broken += 1
        }
      }
    }
  }
  // One round of killing for each call that went through: on a slow machine, too, somebody gets on.
  const killer = async (workers: Promise<unknown>): Promise<void> => {
    while (work.length > 0) {
      await Promise.race([workers, new Promise<void>(resolve => (finishedOne = resolve))])
      await database
        .query({
          text: `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()
          and pid <> pg_backend_pid() order by random() limit 2`,
        })
        .catch(() => undefined)
    }
  }
  const workers = Promise.all(Array.from({ length: 8 }, worker))
  await Promise.all([workers, killer(workers)])
  t.ok(broken > 0, `connections died: ${broken}`)
  const stored = await ledger.lookup([...acknowledged.keys()])
  t.equal(stored.length, acknowledged.size, 'every acknowledged transfer is there')
  const report = await ledger.check()
  t.match(report, { balanced: true, wrongAccounts: [] })
  const [row] = await database.query<{ deadlocks: number }>({
    text: 'select deadlocks from pg_stat_database where datname = current_database()',
  })
  t.equal(row?.deadlocks, 0, 'calls never wait in a circle')
})
