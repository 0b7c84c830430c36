import type { Database, Queryable } from '@aaas/support-cloud/rdbms'
import { type LedgerTransfer, openLedger } from '@aaas/support-cloud/transaction'
import { seededIds } from '@aaas/testing'
import { test } from 'tap'
import { openLedgerDatabase } from './ledger-fixture.js'
import { manualTime } from './ledger-simulation.js'

const ids = seededIds(5)
const move = (extra: Partial<LedgerTransfer> = {}): LedgerTransfer =>
  ({
    ...{ kind: 'posted', id: ids.uuid(), debit: 'a', credit: 'b', amount: 7, currency: 'CNY', code: 'x', ...extra },
  }) as LedgerTransfer
const hold = (extra: Partial<LedgerTransfer> = {}): LedgerTransfer => move({ kind: 'pending', ...extra })

async function setUp(t: { teardown(fn: () => Promise<void>): unknown }): Promise<Database> {
  const database = await openLedgerDatabase(t)
  await manualTime(database)
  await database.script('insert into test_time values (5000)')
  await openLedger({ database }).createAccounts([
    ...['a', 'b', 'c'].map(id => ({ id, currency: 'CNY', shards: 3 })),
    { id: 'usd', currency: 'USD' },
    { id: 'poor', currency: 'CNY', limit: 'debits-within-credits' },
    ...['rich', 'owing'].map(id => ({ id, currency: 'CNY', limit: 'debits-within-credits' as const })),
    { id: 'supplier', currency: 'CNY', limit: 'credits-within-debits' },
    { id: 'fine', currency: 'CNY', scale: 4 },
  ])
  return database
}

const tables = { transfer: 'id', resolution: 'pending_id', entry: 'account, shard, version', balance: 'account, shard' }

async function rowsOf(on: Queryable): Promise<unknown> {
  const rows: unknown[] = []
  for (const [table, key] of Object.entries({ ...tables, timeout: 'pending_id' })) {
    rows.push(await on.query({ text: `select to_jsonb(x) as ${table} from ledger_${table} x order by ${key}` }))
  }
  return rows
}

/** What one way answers and leaves behind; taken back. */
async function outcome(database: Database, way: string, call: readonly LedgerTransfer[]) {
  const undo = new Error('undo')
  let found: { remarks: unknown; rows: unknown } | undefined
  await database
    .transaction(async tx => {
      const values = [JSON.stringify(call)]
      const [row] = await tx.query<{ remarks: unknown }>({ text: `select ${way}($1, false, null) as remarks`, values })
      found = { remarks: row?.remarks, rows: await rowsOf(tx) }
      throw undo
    })
    .catch((error: unknown) => {
      if (error !== undo) throw error
    })
  return found
}

test('the way without a loop answers and stores what the loop does', async t => {
  const database = await setUp(t)
  const ledger = openLedger({ database })
  const waiting = Array.from({ length: 4 }, () => hold({ amount: 20 }))
  await ledger.submit([...waiting, move({ credit: 'rich', amount: 100 }), move({ debit: 'supplier', amount: 9 })])
  const [p0, p1, p2, p3] = waiting.map(({ id }) => id)
  const end = (kind: 'post' | 'void', pending: string | undefined, extra: Partial<LedgerTransfer> = {}) =>
    ({ kind, id: ids.uuid(), pending, ...extra }) as LedgerTransfer
  const calls: Readonly<Record<string, readonly LedgerTransfer[]>> = {
    reservations: [hold({ ref: 'r' }), hold({ debit: 'c', amount: 3 }), hold({ credit: 'c', timeoutMs: 50 })],
    movements: [move(), move({ debit: 'b', credit: 'a', amount: 1e15 }), hold(), move({ credit: 'c' }), move()],
    ends: [end('post', p0), end('void', p1), end('post', p2, { amount: 5, ref: 'x' })],
    'to the limit': [
      ...[move({ debit: 'rich', amount: 60 }), move({ credit: 'rich' }), hold({ debit: 'rich', amount: 40 })],
      ...[move({ credit: 'supplier', amount: 9 }), move({ credit: 'owing' })],
    ],
    all: [move(), end('post', p3), hold({ timeoutMs: 9 }), end('void', p0), move({ debit: 'b', credit: 'c' })],
  }
  for (const [name, call] of Object.entries(calls)) {
    const expected = await outcome(database, 'ledger_many', call)
    t.same(await outcome(database, 'ledger_plain', call), expected, name)
    await database.script("update ledger_balance set entry_at = '2026-02-01Z' where account = 'b'")
    t.same(
      await outcome(database, 'ledger_plain', call),
      await outcome(database, 'ledger_many', call),
      `${name}, with the clock set back`,
    )
    await database.script("update ledger_balance set entry_at = '-infinity' where account = 'b'")
  }
})

test('it leaves to the loop, having written nothing, what is not plain', async t => {
  const database = await setUp(t)
  const ledger = openLedger({ database })
  const [known, open, timed, ended] = [move(), hold(), hold({ timeoutMs: 1 }), hold()]
  await ledger.submit([known, open, timed, ended])
  await ledger.submit([{ kind: 'void', id: ids.uuid(), pending: ended.id }])
  await database.script('update test_time set ms = 6000')
  const post = (pending: string, extra: object = {}) =>
    ({ kind: 'post', id: ids.uuid(), pending, ...extra }) as LedgerTransfer
  const [twin, pending] = [move(), hold()]
  const calls: Readonly<Record<string, readonly LedgerTransfer[]>> = {
    chain: [move({ linked: true }), move()],
    'known id': [move(), known],
    'id twice': [twin, twin],
    limit: [move({ debit: 'poor' }), move()],
    'a limit before what comes in': [move({ debit: 'poor', credit: 'c' }), move({ credit: 'poor' })],
    'a limit after what comes in only': [move({ credit: 'poor' }), move({ debit: 'poor', credit: 'c' })],
    'a limit of what is taken twice': [move({ debit: 'rich', amount: 60 }), move({ debit: 'rich', amount: 41 })],
    'a limit of reservations': [hold({ debit: 'rich', amount: 60 }), hold({ debit: 'rich', amount: 41 })],
    'a limit beside an end': [post(open.id), move({ debit: 'rich', amount: 101 })],
    'no account': [move({ debit: 'nobody' }), move()],
    'another asset': [move({ credit: 'usd' }), move()],
    'another scale': [move({ credit: 'fine' }), move()],
    'the currency of neither': [move({ currency: 'USD' }), move()],
    balancing: [move({ balancingDebit: true }), move()],
    'ended before': [post(ended.id), move()],
    'ended twice': [post(open.id), post(open.id)],
    'timed out': [post(timed.id), move()],
    'too much': [post(open.id, { amount: 8 }), move()],
    'pending in the same call': [pending, post(pending.id)],
    'not pending': [post(known.id), move()],
    overflow: [...Array.from({ length: 11 }, () => move({ amount: 1e15 }))],
    'no amount': [move({ amount: undefined as never }), move()],
    'both sides the same': [move({ credit: 'a' }), move()],
    'no id': [move(), move({ id: undefined as never })],
    'a post of an unknown kind': [{ ...post(open.id), kind: 'posted' } as unknown as LedgerTransfer, move()],
  }
  await ledger.submit([move({ credit: 'rich', amount: 100 })])
  const before = await rowsOf(database)
  for (const [name, call] of Object.entries(calls)) {
    t.same(await outcome(database, 'ledger_plain', call), { remarks: null, rows: before }, name)
  }
})

test('nor does it end what lies outside of a tenant', async t => {
  const database = await setUp(t)
  const open = hold()
  await openLedger({ database }).submit([open])
  const posts = [{ kind: 'post', id: ids.uuid(), pending: open.id } as const, move({ debit: 'b', credit: 'a' })]
  const text = "select ledger_plain($1, false, 'b') as remarks"
  t.same(await database.query({ text, values: [JSON.stringify(posts)] }), [{ remarks: null }])
})
