import { migrate, pgDatabase } from '@aaas/support-cloud/rdbms'
import { bodyHash, forgetIdempotency, transactionMigrations, withIdempotency } from '@aaas/support-cloud/transaction'
import { openTestDatabase } from '@aaas/testing'
import { test } from 'tap'

test('the order of keys and absent fields do not change a body', async t => {
  t.equal(bodyHash({ a: 1, b: [{ c: 2, d: undefined }] }), bodyHash({ b: [{ c: 2 }], a: 1 }))
  t.not(bodyHash({ a: [1, 2] }), bodyHash({ a: [2, 1] }))
  t.not(bodyHash({ a: '1' }), bodyHash({ a: 1 }))
  t.not(bodyHash([null]), bodyHash([]))
})

test('work runs once per key', async t => {
  const server = await openTestDatabase()
  const database = pgDatabase({ url: server.url, maxConnections: 8 })
  t.teardown(async () => {
    await database[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })
  await migrate(database, [transactionMigrations])
  await database.script('create table effect (n int)')
  const ask = (body: unknown, fail = false) =>
    withIdempotency(database, { scope: 'test', key: 'k', body }, async tx => {
      const rows = await tx.query<{ n: number }>({
        text: 'insert into effect select count(*) + 1 from effect returning n',
      })
      if (fail) throw new Error('no')
      return { n: rows[0]?.n }
    })
  await t.rejects(ask({ a: 1 }, true), { message: 'no' })
  const answers = await Promise.all(Array.from({ length: 8 }, () => ask({ a: 1 })))
  t.same(
    answers.map(answer => answer.result),
    Array.from({ length: 8 }, () => ({ n: 1 })),
    'everybody gets the first answer',
  )
  t.equal(answers.filter(answer => !answer.replayed).length, 1)
  t.same(await database.query({ text: 'select n from effect' }), [{ n: 1 }], 'a failed try left nothing behind')
  await t.rejects(ask({ a: 2 }), { code: 'support.transaction.conflict' })
  t.equal(await forgetIdempotency(database, { before: 0 }), 0)
  t.equal(await forgetIdempotency(database, { before: 4_000_000_000_000 }), 1)
  t.match(await ask({ a: 2 }), { replayed: false, result: { n: 2 } })
})
