import { openLedger, openLedgerArchive } from '@aaas/support-cloud/transaction'
import { test } from 'tap'
import { openLedgerDatabase } from './ledger-fixture.js'

const month = (n: number): number => Date.UTC(2027, n, 10)
let count = 0
/** A UUID of version 7 of that time, or one that carries none. */
function idAt(ms: number, version = 7): string {
  count += 1
  const hex = ms.toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-${version}000-8000-${String(count).padStart(12, '0')}`
}

test('months go to the archive, and everything that stays is proved', async t => {
  const database = await openLedgerDatabase(t)
  const ledger = openLedger({ database })
  const archive = openLedgerArchive({ database })
  const setTime = (ms: number): Promise<void> =>
    database.script(`create or replace function ledger_now() returns timestamptz language sql volatile as
      'select to_timestamp(${ms / 1000})'`)
  await ledger.createAccounts(['a', 'b'].map(id => ({ id, currency: 'CNY', shards: 2 })))
  const move = (ms: number, version?: number) =>
    ({ kind: 'posted', id: idAt(ms, version), debit: 'a', credit: 'b', amount: 5, currency: 'CNY', code: 'x' }) as const
  const firsts = []
  for (let n = 0; n < 4; n++) {
    // Rows that come before the partition of their month was made move into it.
    await setTime(month(n))
    const [plain, timeless] = [move(month(n)), move(month(n), 4)]
    const pending = { ...move(month(n)), kind: 'pending' } as const
    await ledger.submit([plain, timeless, pending])
    t.ok((await archive.addPartitions(0)) > 0 || n === 0)
    await ledger.submit([{ kind: 'post', id: idAt(month(n)), pending: pending.id, amount: 1 }])
    firsts.push({ plain, timeless, pending })
  }
  t.match(await ledger.verify(), { ok: true })
  const before = await ledger.balances()
  const open = { ...move(month(2)), kind: 'pending' } as const
  await ledger.submit([open])

  const { archived, obstacle } = await archive.archive(Date.UTC(2027, 3, 1))
  t.match(obstacle, new RegExp(`${open.id} is pending`), 'a month with an open transfer stays')
  t.same(
    archived.map(({ name }) => name).filter(name => name.includes('2027')),
    ['ledger_entry_y2027m01', 'ledger_entry_y2027m02', 'ledger_entry_y2027m03'].concat([
      'ledger_transfer_y2027m01',
      'ledger_transfer_y2027m02',
    ]),
  )
  t.match(await ledger.verify(), { ok: true })
  t.match(await ledger.check(), { balanced: true, wrongAccounts: [] })
  const posted = (rows: typeof before) => rows.map(row => [row.account, row.debitsPosted, row.creditsPosted])
  t.same(posted(await ledger.balances()), posted(before), 'balances stay')

  const [first] = firsts
  if (first === undefined) throw new Error('nothing was booked')
  t.match(await ledger.submit([first.plain]), [{ status: 'refused', reason: 'archived' }], 'nobody knows it any more')
  t.match(await ledger.submit([first.timeless]), [{ status: 'applied', repeated: true }], 'ids without time stay')
  t.match(await ledger.submit([{ ...first.timeless, amount: 6 }]), [{ status: 'refused', reason: 'conflict' }])
  await t.rejects(ledger.apply([first.plain]), { code: 'support.transaction.archived' })
  await t.rejects(ledger.balanceAt('b', month(0)), { code: 'support.transaction.archived' })
  t.equal(await ledger.balanceAt('b', Date.UTC(2027, 3, 1)), 33)
  t.equal((await ledger.history('b')).items[0]?.balance !== undefined, true)

  await ledger.submit([{ kind: 'void', id: idAt(month(3)), pending: open.id }, move(month(3))])
  t.match(await archive.archive(Date.UTC(2027, 3, 1)), { archived: [{ name: 'ledger_transfer_y2027m03' }] })
  t.match(await ledger.verify(), { ok: true })
  const kept = await database.query({ text: 'select id from ledger_archived.ledger_transfer_y2027m01 order by id' })
  t.ok(kept.length >= 3, 'what was archived lies in a schema of its own')
  await t.rejects(archive.addPartitions(25), { code: 'support.transaction.invalid-transfer', field: 'ahead' })
})
