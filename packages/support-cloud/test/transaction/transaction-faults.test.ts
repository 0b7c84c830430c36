import { type Database, pgDatabase } from '@aaas/support-cloud/rdbms'
import type { Transactions } from '@aaas/support-cloud/transaction'
import t, { test } from 'tap'
import { type LossyProxy, lossyProxy } from './lossy-proxy.js'
import { openTransactions } from './transaction-fixture.js'

const opened = await openTransactions()
const { database } = opened
t.teardown(() => opened[Symbol.asyncDispose]())

async function lossy(): Promise<{ proxy: LossyProxy; transactions: Transactions }> {
  await database.script('truncate effect, idempotency, aaas_outbox')
  const proxy = await lossyProxy(opened.url)
  return { proxy, transactions: opened.open({ url: proxy.url, maxConnections: 4 }) }
}

const count = async (on: Database = database): Promise<number> =>
  (await on.query({ text: 'select n from effect' })).length

test('a COMMIT whose answer is lost was done: the second look says so', async t => {
  const { proxy, transactions } = await lossy()
  using _ = proxy
  for (const way of ['run', 'pipeline'] as const) {
    proxy.fates.push('lose-answer')
    let runs = 0
    const replayed =
      way === 'run'
        ? (
            await transactions.run(way, async tx => {
              runs += 1
              await tx.query({ text: 'insert into effect values (1)' })
            })
          ).replayed
        : (await transactions.pipeline(way, [{ text: 'insert into effect values (1)' }])).replayed
    t.equal(replayed, true, `${way}: the first try had committed`)
    t.ok(runs <= 1)
  }
  t.equal(await count(), 2, 'each once')
  t.match(transactions.stats(), { resolved: 2, unknown: 0, replayed: 2 })
})

test('a COMMIT that never arrived was not done: it is run again', async t => {
  const { proxy, transactions } = await lossy()
  using _ = proxy
  for (const way of ['run', 'pipeline'] as const) {
    proxy.fates.push('lose-commit', 'lose-commit')
    const { replayed } =
      way === 'run'
        ? await transactions.run(way, tx => tx.query({ text: 'insert into effect values (1)' }))
        : await transactions.pipeline(way, [{ text: 'insert into effect values (1)' }])
    t.equal(replayed, false)
  }
  t.equal(await count(), 2)
  t.match(transactions.stats(), { committed: 2, unknown: 0 })
})

test('a transaction that hangs between its client and COMMIT is ended, and cannot commit later', async t => {
  const { proxy, transactions } = await lossy()
  using _ = proxy
  proxy.fates.push('deliver-late')
  const { replayed } = await transactions.run('k', tx => tx.query({ text: 'insert into effect values (1)' }))
  t.equal(replayed, false)
  t.equal(proxy.late(), 1, 'the lost COMMIT arrives now')
  t.equal(await count(), 1)
  t.match(transactions.stats(), { resolved: 1, committed: 1 })
})

test('while the database stays away nothing is guessed; the key tells later', async t => {
  const { proxy, transactions } = await lossy()
  using _ = proxy
  proxy.fates.push('lose-answer')
  const work = transactions.run(
    'k',
    async tx => {
      await tx.query({ text: 'insert into effect values (1)' })
      proxy.down = true
      return { n: 1 }
    },
    { deadline: Date.now() + 400 },
  )
  await t.rejects(work, { code: 'support.transaction.outcome-unknown', details: { scope: 'tx', key: 'k' } })
  await t.rejects(transactions.outcome('k', { deadline: Date.now() + 100 }), { code: 'support.rdbms.unavailable' })
  proxy.down = false
  t.match(await transactions.outcome('k'), { state: 'committed', result: { n: 1 } })
  t.match(await transactions.run('k', async () => 'again'), { result: { n: 1 }, replayed: true })
})

test('a database that is away before COMMIT is unavailable, not unknown', async t => {
  const { proxy, transactions } = await lossy()
  using _ = proxy
  proxy.down = true
  const work = transactions.run('k', async () => 1, { deadline: Date.now() + 200 })
  await t.rejects(work, { code: 'support.rdbms.unavailable' })
  t.match(transactions.stats(), { unknown: 0 })
})

test('a session that the server ends in the middle is run again', async t => {
  const { proxy, transactions } = await lossy()
  using _ = proxy
  const { result } = await transactions.run('k', async tx => {
    await tx.query({ text: 'insert into effect values (1)' })
    const [row] = await tx.query<{ pid: number }>({ text: 'select pg_backend_pid() as pid' })
    if (tx.attempt === 1) await database.query({ text: 'select pg_terminate_backend($1)', values: [row?.pid] })
    await tx.query({ text: 'insert into effect values (2)' })
    return tx.attempt
  })
  t.equal(result, 2)
  t.equal(await count(), 2)
})

test('plain transactions look at the command tag too', async t => {
  const { proxy } = await lossy()
  using _ = proxy
  const plain = pgDatabase({ url: opened.url })
  t.teardown(() => plain[Symbol.asyncDispose]())
  const work = plain.transaction(async tx => {
    await tx.query({ text: 'insert into effect values (1)' })
    await tx.query({ text: 'select 1 / 0' }).catch(() => undefined)
  })
  await t.rejects(work)
  t.equal(await count(), 0)
})
