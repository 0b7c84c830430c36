import type { Database } from '@aaas/support-cloud/rdbms'
import { type Ledger, openLedger } from '@aaas/support-cloud/transaction'
import { seededIds } from '@aaas/testing'
import { test } from 'tap'
import { openLedgerDatabase } from './ledger-fixture.js'

async function filled(database: Database): Promise<Ledger> {
  const ledger = openLedger({ database })
  const ids = seededIds()
  await ledger.createAccounts(['a', 'b', 'c'].map(id => ({ id, currency: 'CNY' })))
  const move = { debit: 'a', credit: 'b', amount: 7, currency: 'CNY', code: 'x' } as const
  const pending = ids.uuid()
  await ledger.submit([
    { ...move, kind: 'posted', id: ids.uuid() },
    { ...move, kind: 'pending', id: pending },
    { ...move, kind: 'pending', id: ids.uuid() },
    { ...move, kind: 'posted', id: ids.uuid(), debit: 'b', credit: 'c', amount: 2 },
  ])
  await ledger.submit([{ kind: 'post', id: ids.uuid(), pending, amount: 3 }])
  return ledger
}

const id = (n: number): string => `01900000-0000-7000-8000-${String(n).padStart(12, '0')}`
const [posted, pending, post] = [2, 1, 5].map(id) as [string, string, string]

/** What somebody with all rights may do to the rows, and what the proof says to it. */
const tampers: readonly (readonly [sql: string, row: string, key: string, why: RegExp])[] = [
  [`delete from ledger_entry where transfer_id = '${posted}' and amount > 0`, 'transfer', posted, /one debit and one/],
  [`update ledger_entry set amount = amount + 1 where version = 1`, 'transfer', posted, /one debit and one/],
  [`update ledger_transfer set amount = 8 where id = '${posted}'`, 'transfer', posted, /one debit and one/],
  [`update ledger_transfer set amount = 8 where id = '${post}'`, 'transfer', post, /more than what is pending/],
  [`delete from ledger_transfer where id = '${pending}'`, 'transfer', post, /is not here/],
  [
    `update ledger_transfer set expires_at = created_at - interval '1s' where id = '${pending}'`,
    'transfer',
    post,
    /timed out/,
  ],
  [`delete from ledger_resolution`, 'transfer', post, /ended by another/],
  [
    `update ledger_transfer set reason = 'expired' where id = '${posted}'`,
    'transfer',
    posted,
    /rejected and has entries/,
  ],
  [`insert into ledger_resolution values ('${id(3)}', 'expire', null, now())`, 'resolution', id(3), /before its time/],
  [`update ledger_entry set balance = balance + 1 where account = 'b' and version = 2`, 'entry', 'b/0#2', /balance/],
  [`update ledger_entry set version = 9 where account = 'b' and version = 3`, 'entry', 'b/0#9', /missing/],
  [`update ledger_entry set at = at - interval '1 day' where account = 'b' and version = 3`, 'entry', 'b/0#3', /time/],
  [`update ledger_balance set credits_posted = credits_posted + 1 where account = 'c'`, 'balance', 'c/0', /posted/],
  [`update ledger_balance set debits_pending = 0 where account = 'a'`, 'balance', 'a/0', /pending/],
  [`update ledger_balance set version = version + 1 where account = 'a'`, 'balance', 'a/0', /version/],
  [`update ledger_balance set limits = 2 where account = 'b'`, 'balance', 'b/0', /limit/],
  [`delete from ledger_balance where account = 'c'`, 'balance', 'c/0', /missing/],
]

test('the proof names the first wrong row and why', async t => {
  const database = await openLedgerDatabase(t, { maxConnections: 1 })
  const ledger = await filled(database)
  t.match(await ledger.verify(), { ok: true, accounts: 3, transfers: 5, entries: 6 })
  for (const [sql, row, key, why] of tampers) {
    // What the checks of the tables refuse, somebody would have to switch off first.
    await database.script(`create table kept_entry as table ledger_entry; create table kept_transfer as table ledger_transfer;
      create table kept_resolution as table ledger_resolution; create table kept_balance as table ledger_balance;
      set session_replication_role = replica; alter table ledger_balance drop constraint ledger_balance_limit; ${sql}`)
    const verdict = await ledger.verify()
    await database.script(
      `${['entry', 'transfer', 'resolution', 'balance']
        .map(
          name =>
            `delete from ledger_${name}; insert into ledger_${name} select * from kept_${name}; drop table kept_${name}`,
        )
        .join(';')};
      alter table ledger_balance add constraint ledger_balance_limit check (true);
      set session_replication_role = origin`,
    )
    t.match(verdict, { ok: false, wrong: { row, key, why } }, sql)
  }
  t.match(await ledger.verify(), { ok: true })
})
