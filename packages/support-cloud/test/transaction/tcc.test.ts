import { CloudError, silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { type Database, migrate, pgDatabase } from '@aaas/support-cloud/rdbms'
import {
  type BranchOp,
  barrier,
  forgetBranches,
  pgSagas,
  type TccBranch,
  tccDefinition,
  transactionMigrations,
} from '@aaas/support-cloud/transaction'
import { openTestDatabase, seededRandom } from '@aaas/testing'
import t, { type Test, test } from 'tap'

const server = await openTestDatabase()
const database: Database = pgDatabase({ url: server.url, maxConnections: 8 })
t.teardown(async () => {
  await database[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})
await migrate(database, [transactionMigrations])
// What the participant really did, one row an effect; `held` is what is reserved.
await database.script('create table effect (gid text, op text); create table held (gid text primary key, amount int)')

/** A participant that reserves 10, takes it, or gives it back. */
function receive(gid: string, op: BranchOp): Promise<string> {
  return database
    .transaction(async tx => {
      const { outcome, answer } = await barrier(tx, { gid, branch: 'b', op }, async () => {
        await tx.query({ text: 'insert into effect values ($1, $2)', values: [gid, op] })
        const text =
          op === 'try' ? 'insert into held values ($1, 10)' : 'update held set amount = amount - 10 where gid = $1'
        await tx.query({ text, values: [gid] })
        return { ticket: 7 }
      })
      return op === 'try' ? `${outcome} ${answer?.ticket}` : outcome
    })
    .catch((error: unknown) => {
      if (!CloudError.is(error, 'support.transaction.branch-refused')) throw error
      return error.retryable ? 'early' : 'refused'
    })
}

/** The dumb model: what a message must be answered, from what was answered before. */
function expected(op: BranchOp, state: string): readonly [answer: string, next: string] {
  const table: Record<string, Record<BranchOp, readonly [string, string]>> = {
    none: { try: ['ran 7', 'tried'], confirm: ['early', 'none'], cancel: ['empty', 'empty'] },
    tried: { try: ['repeated 7', 'tried'], confirm: ['ran', 'confirmed'], cancel: ['ran', 'cancelled'] },
    confirmed: {
      try: ['repeated 7', 'confirmed'],
      confirm: ['repeated', 'confirmed'],
      cancel: ['refused', 'confirmed'],
    },
    cancelled: { try: ['refused', 'cancelled'], confirm: ['refused', 'cancelled'], cancel: ['repeated', 'cancelled'] },
    empty: { try: ['refused', 'empty'], confirm: ['refused', 'empty'], cancel: ['repeated', 'empty'] },
  }
  return table[state]?.[op] ?? ['?', '?']
}

const ops = ['try', 'confirm', 'cancel'] as const

test('every order of lost, repeated and overtaken messages', async t => {
  const length = 5
  let wrong = 0
  const play = async (number: number): Promise<void> => {
    let state = 'none'
    for (let place = 0, rest = number; place < length; place++, rest = Math.floor(rest / 3)) {
      const op = ops[rest % 3] ?? 'try'
      const [answer, next] = expected(op, state)
      const got = await receive(`order ${number}`, op)
      if (got !== answer) {
        wrong += 1
        t.fail(`${number}: ${op} in ${state} gave ${got}, not ${answer}`)
      }
      state = next
    }
  }
  const numbers = Array.from({ length: 3 ** length }, (_, number) => number).values()
  await Promise.all(
    Array.from({ length: 6 }, async () => {
      for (const number of numbers) await play(number)
    }),
  )
  t.equal(wrong, 0)
  await invariants(t)
})

test('messages at the same time', async t => {
  const random = seededRandom(7)
  for (let round = 0; round < 40; round++) {
    const messages = Array.from({ length: 2 + Math.floor(random() * 6) }, () => ops[Math.floor(random() * 3)] ?? 'try')
    await Promise.all(messages.map(op => receive(`race ${round}`, op)))
  }
  await invariants(t)
})

/** No effect twice, no end without a beginning, not both ends, nothing left hanging after an end. */
async function invariants(t: Test): Promise<void> {
  const broken = await database.query({
    text: `select gid, array_agg(op) as ops from effect group by gid having
      count(*) filter (where op = 'try') > 1 or count(*) filter (where op <> 'try') > 1
      or count(*) filter (where op = 'try') < count(*) filter (where op <> 'try')`,
  })
  t.same(broken, [])
  const hanging = await database.query({
    text: `select h.gid from held h join aaas_barrier b using (gid) where (h.amount <> 0) <> (b.state = 'tried')`,
  })
  t.same(hanging, [])
}

test('bad messages are named and a failing participant leaves no trace', async t => {
  const send = (gid: string, branch: string, op: BranchOp) =>
    database.transaction(tx => barrier(tx, { gid, branch, op }, async () => Promise.reject(new Error('no'))))
  await t.rejects(send('', 'b', 'try'), { code: 'core.contract.invalid-input', field: 'gid' })
  await t.rejects(send('g', 'b'.repeat(101), 'try'), { code: 'core.contract.invalid-input', field: 'branch' })
  await t.rejects(send('g', 'b', 'do' as 'try'), { code: 'core.contract.invalid-input', field: 'op' })
  await t.rejects(send('g', 'b', 'try'), { message: 'no' })
  t.equal(await receive('g', 'try'), 'ran 7')
  t.ok((await forgetBranches(database, { before: Date.now() + 60_000, limit: 5 })) <= 5)
  t.equal(await receive('g', 'confirm'), 'ran', 'what is only tried is not forgotten')
})

test('a coordinator confirms all or cancels all, over a network that loses and repeats', async t => {
  const random = seededRandom(3)
  const clock = systemClock({ keepAlive: true })
  const fast = { attempts: 60, firstPauseMs: 1, longestPauseMs: 5 }
  const participant = (name: string): TccBranch => {
    const call = async (op: BranchOp, gid: string, input: unknown): Promise<string> => {
      const luck = random()
      if (luck < 0.2) throw new Error('lost on the way there')
      if (op === 'try' && input === name) throw new CloudError('support.transaction.insufficient', `${name} has none`)
      const answer = await database.transaction(async tx => {
        const { outcome } = await barrier(tx, { gid, branch: name, op }, async () => {
          await tx.query({ text: 'insert into effect values ($1, $2)', values: [`${gid} ${name}`, op] })
        })
        return outcome
      })
      if (luck < 0.4) throw new Error('lost on the way back')
      return answer
    }
    return {
      name,
      try: ({ gid, input }) => call('try', gid, input),
      confirm: ({ gid, input }) => call('confirm', gid, input),
      cancel: ({ gid, input }) => call('cancel', gid, input),
      tryRetry: { attempts: 4, firstPauseMs: 1, longestPauseMs: 5 },
      endRetry: fast,
    }
  }
  const sagas = pgSagas({ database, clock, ids: systemIds(), logger: silentLogger, pollMs: 20 })
  sagas.define(tccDefinition({ name: 'transfer', version: 1, branches: ['from', 'to'].map(participant) }))
  await using _ = sagas.work()
  const cases = Array.from({ length: 24 }, (_, index) => ({
    id: `tcc ${index}`,
    input: ['ok', 'from', 'to'][index % 3],
  }))
  for (const { id, input } of cases) await sagas.start({ id, name: 'transfer', input })
  for (const { id, input } of cases) {
    const view = await sagas.ended(id, { deadline: Date.now() + 20_000 })
    const rows = await database.query<{ gid: string; op: string }>({
      text: 'select gid, op from effect where gid like $1 order by gid, op',
      values: [`${id} %`],
    })
    const effects = rows.map(row => `${row.gid.slice(id.length + 1)} ${row.op}`)
    if (view.state === 'completed') {
      t.same(effects, ['from confirm', 'from try', 'to confirm', 'to try'], `${id}: ${input}`)
    } else {
      t.equal(view.state, 'compensated', JSON.stringify(view))
      const tried = effects.filter(effect => effect.endsWith('try')).map(effect => effect.slice(0, -4))
      t.same(
        effects.filter(effect => effect.endsWith('cancel')),
        tried.map(name => `${name} cancel`),
        `${id}: ${input}`,
      )
    }
    if (input !== 'ok') t.equal(view.state, 'compensated')
  }
  await invariants(t)
})
