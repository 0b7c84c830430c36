import { CloudError } from '@aaas/core-cloud/kernel'
import type { Database } from '@aaas/support-cloud/rdbms'
import { type Ledger, type LedgerTransfer, openLedger } from '@aaas/support-cloud/transaction'
import { seededIds, seededRandom } from '@aaas/testing'
import { test } from 'tap'
import { openLedgerDatabase } from './ledger-fixture.js'

const sides = [
  ['bank', 'shop'],
  ['shop', 'bank'],
  ['wallet', 'shop'],
  ['bank', 'wallet'],
] as const

/** 150 calls of 1 to 6 transfers; half of them reach the account with a limit. */
function someCalls(): LedgerTransfer[][] {
  const ids = seededIds(3)
  const random = seededRandom(11)
  const below = (count: number): number => Math.floor(random() * count)
  return Array.from({ length: 150 }, () => {
    const most = 2 + 2 * below(2)
    return Array.from({ length: 1 + below(6) }, (): LedgerTransfer => {
      const [debit, credit] = sides[below(most)] ?? sides[0]
      return { kind: 'posted', id: ids.uuid(), debit, credit, amount: 1 + below(9), currency: 'CNY', code: 'x' }
    })
  })
}

type Way = (ledger: Ledger, call: readonly LedgerTransfer[]) => Promise<readonly string[]>

/** @returns the ids that are acknowledged. */
const ways: Readonly<Record<'apply' | 'submit', Way>> = {
  async apply(ledger, call) {
    try {
      await ledger.apply(call)
      return call.map(({ id }) => id)
    } catch (error) {
      if (CloudError.is(error, 'support.transaction.insufficient')) return []
      throw error
    }
  },
  async submit(ledger, call) {
    return (await ledger.submit(call)).filter(({ status }) => status === 'applied').map(({ id }) => id)
  },
}

/** Every call is made by two workers at once, the second with its transfers in the opposite order. */
async function underKills(database: Database, way: Way): Promise<{ acknowledged: Set<string>; broken: number }> {
  const ledger = openLedger({ database })
  const work = someCalls().flatMap(call => [call, call.toReversed()])
  const acknowledged = new Set<string>()
  let broken = 0
  let finishedOne: () => void = () => undefined
  const worker = async (): Promise<void> => {
    for (let call = work.shift(); call !== undefined; call = work.shift()) {
      for (let attempt = 1; ; attempt++) {
        try {
          for (const id of await way(ledger, call)) acknowledged.add(id)
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
    const text = `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()
      and pid <> pg_backend_pid() order by random() limit 2`
    while (work.length > 0) {
      await Promise.race([workers, new Promise<void>(resolve => (finishedOne = resolve))])
      await database.query({ text }).catch(() => undefined)
    }
  }
  const workers = Promise.all(Array.from({ length: 8 }, worker))
  await Promise.all([workers, killer(workers)])
  return { acknowledged, broken }
}

for (const name of ['apply', 'submit'] as const) {
  test(`${name}: concurrent calls and dying connections lose and double nothing`, async t => {
    const database = await openLedgerDatabase(t, { maxConnections: 10 })
    const ledger = openLedger({ database })
    await ledger.createAccounts([
      { id: 'bank', currency: 'CNY', shards: 4 },
      { id: 'shop', currency: 'CNY', shards: 4 },
      { id: 'wallet', currency: 'CNY', limit: 'debits-within-credits' },
    ])
    const { acknowledged, broken } = await underKills(database, ways[name])
    t.ok(broken > 0, `connections died: ${broken}`)
    t.ok(acknowledged.size > 200, `acknowledged: ${acknowledged.size}`)
    const all = [...acknowledged]
    const stored = [...(await ledger.lookup(all.slice(0, 1000))), ...(await ledger.lookup(all.slice(1000, 2000)))]
    const applied = stored.filter(({ reason }) => reason === undefined)
    t.equal(applied.length, acknowledged.size, 'every acknowledged transfer is there')
    t.match(await ledger.verify(), { ok: true, transfers: name === 'apply' ? acknowledged.size : Number })
    t.match(await ledger.check(), { balanced: true, wrongAccounts: [], transfers: acknowledged.size })
    const [row] = await database.query<{ deadlocks: number }>({
      text: 'select deadlocks from pg_stat_database where datname = current_database()',
    })
    t.equal(row?.deadlocks, 0, 'calls never wait in a circle')
  })
}
