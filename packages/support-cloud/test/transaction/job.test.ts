import { silentLogger } from '@aaas/core-cloud/kernel'
import { migrate, pgDatabase } from '@aaas/support-cloud/rdbms'
import { pgJobs, transactionMigrations } from '@aaas/support-cloud/transaction'
import { ManualClock, openTestDatabase, seededIds } from '@aaas/testing'
import { test } from 'tap'
import { nextTime, parseCron } from '../../src/transaction/job-cron.js'
import { jobSuite } from '../../src/transaction/job-suite.js'

test('jobs on PostgreSQL', async t => {
  const server = await openTestDatabase()
  const database = pgDatabase({ url: server.url, maxConnections: 4 })
  t.teardown(async () => {
    await database[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })
  await migrate(database, [transactionMigrations])
  await database.script('create table effect (n int)')
  let seed = 1
  jobSuite(
    (name, fn) => t.test(name, fn),
    async () => {
      await database.script('truncate aaas_job, aaas_job_schedule, effect')
      const clock = new ManualClock()
      return {
        database,
        pass: ms => clock.pass(ms),
        now: () => clock.now(),
        node: () =>
          pgJobs({
            ...{ database, clock, ids: seededIds(seed++), logger: silentLogger, time: 'clock' },
            ...{ leaseMs: 1_000, pollMs: 100, maxPayloadBytes: 1_000, concurrency: 2 },
          }),
        async [Symbol.asyncDispose]() {},
      }
    },
  )
})

test('schedules in UTC', async t => {
  const next = (cron: string, after: string): string | undefined => {
    const at = nextTime(parseCron(cron), Date.parse(after))
    return at === undefined ? undefined : new Date(at).toISOString().slice(0, 16)
  }
  const cases: readonly (readonly [cron: string, after: string, next: string])[] = [
    ['* * * * *', '2026-01-01T00:00:00Z', '2026-01-01T00:01'],
    ['* * * * *', '2026-01-01T00:00:59.999Z', '2026-01-01T00:01'],
    ['*/15 * * * *', '2026-01-01T00:14:00Z', '2026-01-01T00:15'],
    ['5/20 8-9 * * *', '2026-01-01T08:45:00Z', '2026-01-01T09:05'],
    ['59 23 31 12 *', '2026-12-31T23:59:00Z', '2027-12-31T23:59'],
    ['0 0 29 2 *', '2026-03-01T00:00:00Z', '2028-02-29T00:00'],
    ['0 0 29 2 *', '2096-03-01T00:00:00Z', '2104-02-29T00:00'],
    ['0 9 * * 1-5', '2026-11-20T09:00:00Z', '2026-11-23T09:00'],
    ['0 9 * * 7', '2026-11-20T09:00:00Z', '2026-11-22T09:00'],
    ['0 0 13 * 5', '2026-11-20T00:00:00Z', '2026-11-27T00:00'],
    ['0,30 12 1,15 1,7 *', '2026-01-15T12:30:00Z', '2026-07-01T12:00'],
  ]
  for (const [cron, after, expected] of cases) t.equal(next(cron, after), expected, `${cron} after ${after}`)
  const bad = [
    '',
    '* * * *',
    '60 * * * *',
    '* 24 * * *',
    '* * 0 * *',
    '* * * 13 *',
    '* * * * 8',
    '5-1 * * * *',
    'a * * * *',
  ]
  for (const cron of [...bad, '*/0 * * * *', '0 0 31 2 *', '* * * * * *', '1,,2 * * * *']) {
    t.throws(() => parseCron(cron), { code: 'core.contract.invalid-input', field: 'cron' }, cron)
  }
})
