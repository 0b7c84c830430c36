import type { Database } from '@aaas/support-cloud/rdbms'
import { type LedgerTransfer, openLedger } from '@aaas/support-cloud/transaction'
import { seededIds } from '@aaas/testing'
import { test } from 'tap'
import { ledgerFunctionsSql } from '../../src/transaction/ledger-functions.js'
import { ledgerWaysSql } from '../../src/transaction/ledger-ways.js'
import { openLedgerDatabase } from './ledger-fixture.js'
import { manualTime, simulateLedger } from './ledger-simulation.js'

/** Bugs that ledgers had, written into the functions of a test's database. Each replacement must be found. */
const bugs: Readonly<Record<string, readonly (readonly [text: string, wrong: string])[]>> = {
  'available is posted only': [
    ['a_limits[d] = 1 and dp[d] + dw[d] + a > cp[d]', 'a_limits[d] = 1 and dp[d] + a > cp[d]'],
    ['v_amount > v_dbalance - v_dwait', 'v_amount > v_dbalance'],
  ],
  'post after void': [
    [
      'elsif v_ended[v_first[i]] is not null then',
      "elsif v_ended[v_first[i]] is distinct from 'void' and v_ended[v_first[i]] is not null then",
    ],
    [
      'insert into ledger_resolution (pending_id, kind, transfer_id, created_at)\n    select pending, kind, id, v_at',
      'insert into ledger_resolution (pending_id, kind, transfer_id, created_at)\n    select gen_random_uuid(), kind, id, v_at',
    ],
  ],
  'a transfer that timed out is posted': [
    ['elsif v_expires[i] <= v_at then', 'elsif false then'],
    ['v_expires <= v_at or', ''],
  ],
  'a rejected id is accepted on retry': [['v_state[i] := v_keep::int;', 'v_state[i] := 0;']],
  'a failed chain leaves its first part': [['dp[d] := dp[d] - v_final[k];', 'null;']],
  'without the loop, an entry has the balance before the call': [
    ['(sum(amount) over items)::bigint', 'first_value(amount) over items + amount'],
  ],
  'without the loop, a known id moves money again': [
    ['(select count(*) from transfers) = v_count', '(select count(*) from transfers) >= 0'],
  ],
  'a repeat of a balancing transfer asks the limit again': [['a := v_known_amount[i]', 'a := v_amount[i]']],
}

async function plant(database: Database, changes: readonly (readonly [string, string])[]): Promise<void> {
  let sql = ledgerFunctionsSql + ledgerWaysSql
  for (const [text, wrong] of changes) {
    if (!sql.includes(text)) throw new Error(`nothing to plant a bug in: ${text}`)
    sql = sql.replaceAll(text, wrong)
  }
  await database.script(sql.replaceAll(/create (?:or replace )?function/g, 'create or replace function'))
}

for (const [name, changes] of Object.entries(bugs)) {
  test(`the model finds a planted bug: ${name}`, async t => {
    const database = await openLedgerDatabase(t)
    await manualTime(database)
    await plant(database, changes)
    let found: string | undefined
    for (let seed = 1; seed <= 5 && found === undefined; seed++) {
      found = await simulateLedger(database, { seed, operations: 2_000 }).then(
        ({ flaw }) => flaw,
        (error: unknown) => String(error),
      )
    }
    t.ok(found, found ?? 'nothing was found')
  })
}

const double: readonly (readonly [string, string])[] = [
  // Neither waits for the balances, nor looks for a resolution, nor keeps it.
  [' for update of d, c;', ';'],
  [' for update of c, d;', ';'],
]

/** Many callers end one pending transfer at once. @returns how many were told that they did. */
async function race(database: Database): Promise<{ applied: number; ok: boolean }> {
  const ledger = openLedger({ database })
  const ids = seededIds()
  await ledger.createAccounts(['a', 'b'].map(id => ({ id, currency: 'CNY' })))
  let applied = 0
  for (let round = 0; round < 10; round++) {
    const id = ids.uuid()
    const pending = { kind: 'pending', id, debit: 'a', credit: 'b', amount: 5, currency: 'CNY', code: 'x' } as const
    await ledger.submit([pending])
    const posts = Array.from({ length: 8 }, (): LedgerTransfer => ({ kind: 'post', id: ids.uuid(), pending: id }))
    const answers = await Promise.allSettled(posts.map(post => ledger.submit([post])))
    for (const answer of answers) {
      if (answer.status === 'fulfilled' && answer.value[0]?.status === 'applied') applied += 1
    }
  }
  return { applied, ok: (await ledger.verify()).ok }
}

test('a pending transfer is posted once, whoever is first', async t => {
  const database = await openLedgerDatabase(t, { maxConnections: 8 })
  t.same(await race(database), { applied: 10, ok: true })
})

test('the proof finds a double post', async t => {
  const database = await openLedgerDatabase(t, { maxConnections: 8 })
  await plant(database, [
    ...double,
    ['or exists (select from ledger_resolution where pending_id = v_pending)', ''],
    [
      'if v_pending is not null then\n    insert into ledger_resolution',
      'if v_pending is null then\n    insert into ledger_resolution',
    ],
  ])
  const found = await race(database).then(
    ({ applied, ok }) => applied !== 10 || !ok,
    () => true,
  )
  t.ok(found)
})
