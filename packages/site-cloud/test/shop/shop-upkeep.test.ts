import { silentLogger } from '@aaas/core-cloud/kernel'
import { migrate, pgDatabase } from '@aaas/support-cloud/rdbms'
import { openLedger } from '@aaas/support-cloud/transaction'
import { ManualClock, openTestDatabase, seededIds } from '@aaas/testing'
import { test } from 'tap'
import { shopMigrations } from '../../src/shop/index.js'
import { shopJobs } from '../../src/shop/shop-background.js'
import type { ShopServices } from '../../src/shop/shop-services.js'

/** The shop's own work is shown elsewhere. */
const idle = async (): Promise<void> => undefined
const services = {
  orders: { closeExpired: idle },
  payments: { reconcile: idle },
  carts: { purge: idle },
  parties: { purge: idle },
} as unknown as ShopServices

test('a shop keeps its own tables in order: partitions, reservations, dead events', async t => {
  const server = await openTestDatabase()
  t.teardown(() => server[Symbol.asyncDispose]())
  await using database = pgDatabase({ url: server.url, maxConnections: 4 })
  await migrate(database, shopMigrations)
  const ledger = openLedger({ database })
  const ids = seededIds()
  await ledger.createAccounts(['a', 'b'].map(id => ({ id, currency: 'CNY' })))
  const held = { debit: 'a', credit: 'b', amount: 7, currency: 'CNY', code: 'x', timeoutMs: 1 } as const
  await ledger.submit(Array.from({ length: 3 }, () => ({ kind: 'pending' as const, id: ids.uuid(), ...held })))
  await database.script(`insert into aaas_outbox_dead (id, event_id, topic, key, payload, created_at, attempts,
      available_at, reason, died_at)
    select n, gen_random_uuid(), 't', '', '{}', now(), 1, now(), 'x', now() - n * interval '60 days'
    from generate_series(1, 2) n`)
  const count = async (text: string): Promise<number> =>
    (await database.query<{ n: number }>({ text: `select count(*)::int as n from ${text}` }))[0]?.n ?? -1
  const partitions = `pg_inherits where inhparent = 'ledger_transfer'::regclass`
  const before = await count(partitions)
  await database.query({ text: 'select pg_sleep(0.01)' })

  const clock = new ManualClock()
  const jobs = shopJobs({ services, database, clock, logger: silentLogger })
  await clock.pass(3_600_000)
  await jobs[Symbol.asyncDispose]()
  t.equal(await count(partitions), before + 2, 'from one month ahead to three')
  t.equal(await count(`ledger_resolution where kind = 'expire'`), 3)
  t.equal(await count('aaas_outbox_dead'), 1, 'older than 90 days')
})
