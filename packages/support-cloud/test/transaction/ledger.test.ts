import { openLedger } from '@aaas/support-cloud/transaction'
import { seededIds } from '@aaas/testing'
import { test } from 'tap'
import { ledgerSuite } from '../../src/transaction/ledger-suite.js'
import { ledgerFixtures, openLedgerDatabase } from './ledger-fixture.js'

test('the ledger on PostgreSQL', async t => {
  ledgerSuite((name, fn) => t.test(name, fn), await ledgerFixtures(t))
})

test('what is booked cannot be changed', async t => {
  const database = await openLedgerDatabase(t)
  const ids = seededIds()
  const ledger = openLedger({ database })
  await ledger.createAccounts(['a', 'b'].map(id => ({ id, currency: 'CNY' })))
  const pending = { kind: 'pending', debit: 'a', credit: 'b', amount: 7, currency: 'CNY', code: 'x' } as const
  const first = ids.uuid()
  await ledger.apply([{ ...pending, id: first }])
  await ledger.apply([{ kind: 'post', id: ids.uuid(), pending: first }])
  for (const table of ['ledger_transfer', 'ledger_resolution', 'ledger_entry']) {
    for (const name of [table, `${table}_other`, `(select inhrelid::regclass from pg_inherits)`]) {
      if (name.startsWith('(')) continue
      await t.rejects(database.query({ text: `truncate ${name}` }), { code: '55000' }, `truncate ${name}`)
    }
    const [row] = await database.query<{ place: string }>({
      text: `select tableoid::regclass::text as place from ${table}`,
    })
    for (const name of [table, row?.place]) {
      await t.rejects(database.query({ text: `delete from ${name}` }), { code: '55000' }, `delete ${name}`)
      const update = `update ${name} set ${table === 'ledger_resolution' ? "kind = 'void'" : 'amount = 1'}`
      await t.rejects(database.query({ text: update }), { code: '55000' }, update)
    }
  }
})

test('the check finds what was tampered with', async t => {
  const database = await openLedgerDatabase(t, { maxConnections: 1 })
  const ledger = openLedger({ database })
  const ids = seededIds()
  await ledger.createAccounts(['a', 'b', 'c'].map(id => ({ id, currency: 'CNY', shards: 2 })))
  const book = (kind: 'posted' | 'pending') =>
    ({ kind, id: ids.uuid(), debit: 'a', credit: 'b', amount: 7, currency: 'CNY', code: 'x' }) as const
  await ledger.apply([book('posted'), book('pending')])
  t.match(await ledger.check(), { balanced: true, accounts: 3, transfers: 2, difference: 0, wrongAccounts: [] })
  const tampers: readonly (readonly [sql: string, accounts: readonly string[]])[] = [
    ["update ledger_balance set credits_posted = credits_posted + 1 where account = 'c' and shard = 0", ['c']],
    ["update ledger_balance set debits_pending = 0 where account = 'a'", ['a']],
    ["delete from ledger_entry where account = 'b'", ['b']],
    ["update ledger_entry set amount = 8 where account = 'b'", ['b']],
  ]
  for (const [sql, accounts] of tampers) {
    await database.query({ text: 'begin' })
    await database.script(`set session_replication_role = replica; ${sql}`)
    const report = await ledger.check()
    await database.query({ text: 'rollback' })
    await database.query({ text: 'set session_replication_role = origin' })
    t.match({ balanced: report.balanced, wrong: report.wrongAccounts }, { balanced: false, wrong: accounts }, sql)
  }
})

test('single transfers in both directions never wait for each other in a circle', async t => {
  const database = await openLedgerDatabase(t, { maxConnections: 8 })
  const names = ['a', 'b', 'c']
  await openLedger({ database }).createAccounts(names.map(id => ({ id, currency: 'CNY' })))
  const ids = seededIds(3)
  // Not by `submit`, which would try again: a deadlock must not happen.
  const move = async (debit: string, credit: string): Promise<unknown> => {
    const item = { kind: 'posted', id: ids.uuid(), debit, credit, amount: 1, currency: 'CNY', code: 'x' }
    return database.query({
      name: 'run',
      text: 'select ledger_run($1, false) as remarks',
      values: [JSON.stringify([item])],
    })
  }
  const pairs = names.flatMap(debit => names.filter(name => name !== debit).map(credit => [debit, credit] as const))
  for (let round = 0; round < 40; round++) {
    await Promise.all([...pairs, ...pairs].map(([debit, credit]) => move(debit, credit)))
  }
  t.match(await openLedger({ database }).verify(), { ok: true, transfers: 480 })
})
