import assert from 'node:assert/strict'
import { CloudError, type ErrorCode } from '@aaas/core-cloud/kernel'
import type { Database } from '../rdbms/database.js'
import type { TransactionScope, Transactions } from './transaction.js'

/** What a driver gives the suite: the service, and a look into its database, where a table `effect (n int)` is empty. */
export interface TransactionFixture extends AsyncDisposable {
  readonly transactions: Transactions
  readonly database: Database
  /** Epoch milliseconds. */
  now(): number
}

type Test = (name: string, fn: () => Promise<void>) => unknown
type Scenario = (name: string, run: (fixture: TransactionFixture) => Promise<void>) => void

/** Bytes of a stored result in the fixture. */
export const suiteResultBytes = 1_000

/** Every promise of {@link Transactions}, free of any runner. The fixture's `maxResultBytes` is `suiteResultBytes`. */
export function transactionSuite(test: Test, open: () => Promise<TransactionFixture>): void {
  const scenario: Scenario = (name, run) => {
    test(name, async () => {
      await using fixture = await open()
      await run(fixture)
    })
  }
  replays(scenario)
  failures(scenario)
  conflicts(scenario)
  parts(scenario)
  limits(scenario)
  outcomes(scenario)
  pipelines(scenario)
}

const add = async (tx: TransactionScope, n = 1): Promise<number> => {
  const rows = await tx.query<{ n: number }>({ text: 'insert into effect values ($1) returning n', values: [n] })
  return rows[0]?.n ?? 0
}
const effects = async ({ database }: TransactionFixture): Promise<readonly number[]> =>
  (await database.query<{ n: number }>({ text: 'select n from effect order by n' })).map(row => row.n)

export const refuses = (code: ErrorCode, work: Promise<unknown>, field?: string): Promise<void> =>
  assert.rejects(work, error => {
    assert.ok(CloudError.is(error), String(error))
    assert.equal(error.code, code, String(error.message))
    if (field !== undefined) assert.equal(error.field, field)
    return true
  })

function replays(scenario: Scenario): void {
  scenario('a key runs once and is answered for ever', async fixture => {
    const ask = () => fixture.transactions.run('k', async tx => ({ n: await add(tx), at: new Date(0) }))
    const first = await ask()
    const second = await ask()
    assert.deepEqual(first, { result: { n: 1, at: '1970-01-01T00:00:00.000Z' }, replayed: false })
    assert.deepEqual(second, { ...first, replayed: true })
    assert.deepEqual(await effects(fixture), [1])
  })
  scenario('nothing, null and values come back as they were', async ({ transactions }) => {
    for (const [index, value] of [undefined, null, 0, '', false, [], { a: [1] }].entries()) {
      const ask = () => transactions.run(`k${index}`, async () => value)
      assert.deepEqual((await ask()).result, value)
      assert.deepEqual((await ask()).result, value)
    }
  })
  scenario('another body is a conflict, another scope another key', async fixture => {
    const ask = (body: unknown, scope = 'a') => fixture.transactions.run('k', tx => add(tx), { body, scope })
    await ask({ a: 1, b: 2 })
    assert.equal((await ask({ b: 2, a: 1, c: undefined })).replayed, true)
    await refuses('support.transaction.conflict', ask({ a: 2 }))
    assert.equal((await ask({ a: 2 }, 'b')).replayed, false)
    assert.deepEqual(await effects(fixture), [1, 1])
  })
  scenario('concurrent calls of one key wait for the one that runs', async fixture => {
    let runs = 0
    const ask = () =>
      fixture.transactions.run('k', async tx => {
        runs += 1
        await tx.query({ text: 'select pg_sleep(0.05)' })
        return add(tx)
      })
    const answers = await Promise.all(Array.from({ length: 12 }, ask))
    assert.equal(runs, 1)
    assert.equal(answers.filter(answer => !answer.replayed).length, 1)
    assert.deepEqual(await effects(fixture), [1])
  })
}

function failures(scenario: Scenario): void {
  scenario('what fails leaves nothing behind and may be tried again', async fixture => {
    const ask = (fail: boolean) =>
      fixture.transactions.run('k', async tx => {
        await add(tx)
        if (fail) throw new Error('no')
        return 'yes'
      })
    await assert.rejects(ask(true), { message: 'no' })
    assert.deepEqual(await effects(fixture), [])
    assert.deepEqual(await ask(false), { result: 'yes', replayed: false })
  })
  scenario('a swallowed failure is not a success: COMMIT is answered with ROLLBACK', async fixture => {
    const work = fixture.transactions.run('k', async tx => {
      await add(tx)
      await tx.query({ text: 'select 1 / 0' }).catch(() => undefined)
      return 'looks fine'
    })
    await refuses('support.transaction.rolled-back', work)
    assert.deepEqual(await effects(fixture), [])
    assert.deepEqual(await fixture.transactions.outcome('k'), { state: 'absent' })
  })
  scenario('a statement that nobody waited for counts', async fixture => {
    const work = fixture.transactions.run('k', async tx => {
      tx.query({ text: 'select 1 / 0' }).catch(() => undefined)
      return add(tx).catch(() => 0)
    })
    await refuses('support.transaction.rolled-back', work)
    assert.deepEqual(await effects(fixture), [])
  })
  scenario('a statement after the end is refused', async fixture => {
    let escaped: TransactionScope | undefined
    await fixture.transactions.run('k', async tx => {
      escaped = tx
    })
    assert.ok(escaped !== undefined)
    await assert.rejects(add(escaped), /has ended/)
    assert.deepEqual(await effects(fixture), [])
  })
  scenario('the deadline ends statements, waits and functions, and undoes them', async fixture => {
    const { transactions, now } = fixture
    const late = 'core.contract.deadline-exceeded'
    const soon = (ms = 150) => ({ deadline: now() + ms })
    const slow = (tx: TransactionScope) => tx.query({ text: 'select pg_sleep(30)' })
    await refuses(late, transactions.run('a', slow, soon()))
    await refuses(
      late,
      transactions.run('b', async tx => add(tx).then(() => new Promise(() => undefined)), soon()),
    )
    await refuses(late, transactions.run('c', add, soon(-1)))
    const abort = new AbortController()
    const given = transactions.run(
      'd',
      async tx =>
        add(tx)
          .then(() => abort.abort('enough'))
          .then(() => slow(tx)),
      {
        signal: abort.signal,
      },
    )
    await refuses('core.contract.cancelled', given)
    assert.deepEqual(await effects(fixture), [])
  })
}

function conflicts(scenario: Scenario): void {
  scenario('serialization failures are run again until they pass', async fixture => {
    await fixture.database.script('insert into effect values (0)')
    const count = 8
    const work = (index: number) =>
      fixture.transactions.run(
        `k${index}`,
        async tx => {
          const [row] = await tx.query<{ n: number }>({ text: 'select n from effect' })
          await tx.query({ text: 'update effect set n = $1', values: [(row?.n ?? 0) + 1] })
        },
        { isolation: 'serializable' },
      )
    await Promise.all(Array.from({ length: count }, (_, index) => work(index)))
    assert.deepEqual(await effects(fixture), [count])
    assert.ok(fixture.transactions.stats().retried > 0)
  })
  scenario('a deadlock is run again, also when the function dresses the error up', async fixture => {
    await fixture.database.script('insert into effect values (1), (2)')
    let waiting = 2
    let open = (): void => undefined
    const both = new Promise<void>(resolve => {
      open = resolve
    })
    const lock = (tx: TransactionScope, n: number) =>
      tx.query({ text: 'select n from effect where n = $1 for update', values: [n] })
    const work = (key: string, first: number, second: number) =>
      fixture.transactions.run(key, async tx => {
        try {
          await lock(tx, first)
          waiting -= 1
          if (waiting === 0) open()
          await both
          await lock(tx, second)
        } catch {
          throw new Error('a wrapped error')
        }
      })
    await Promise.all([work('a', 1, 2), work('b', 2, 1)])
    assert.equal(fixture.transactions.stats().committed, 2)
    assert.ok(fixture.transactions.stats().retried >= 1)
  })
}

function parts(scenario: Scenario): void {
  scenario('an event leaves with the commit and only with it', async fixture => {
    const topics = () => fixture.database.query({ text: 'select topic, payload from aaas_outbox' })
    const work = (fail: boolean) =>
      fixture.transactions.run('k', async tx => {
        await tx.emit({ topic: 'paid', key: 'o-1', payload: { n: 1 } })
        if (fail) throw new Error('no')
      })
    await assert.rejects(work(true))
    assert.deepEqual(await topics(), [])
    await work(false)
    await work(false)
    assert.deepEqual(await topics(), [{ topic: 'paid', payload: { n: 1 } }])
  })
  scenario('the ledger takes part', async fixture => {
    const id = '01900000-0000-7000-8000-0000000000a1'
    const work = (fail: boolean) =>
      fixture.transactions.run('k', async tx => {
        await tx.ledger.apply([
          { kind: 'posted', id, debit: 'bank', credit: 'shop', amount: 5, currency: 'CNY', code: 'sale' },
        ])
        if (fail) throw new Error('no')
      })
    await assert.rejects(work(true), { message: 'no' })
    const found = () => fixture.transactions.run(`look${n++}`, async tx => (await tx.ledger.lookup([id])).length)
    let n = 0
    assert.equal((await found()).result, 0)
    await work(false)
    assert.equal((await found()).result, 1)
  })
  scenario('a part that fails is undone on its own', async fixture => {
    const { result } = await fixture.transactions.run('k', async tx => {
      await add(tx, 1)
      const part = tx.savepoint(async () => {
        await add(tx, 2)
        await tx.query({ text: 'select 1 / 0' })
      })
      await assert.rejects(part, { code: '22012' })
      return tx.savepoint(() => add(tx, 3))
    })
    assert.equal(result, 3)
    assert.deepEqual(await effects(fixture), [1, 3])
  })
}

function limits(scenario: Scenario): void {
  scenario('bad input is named and nothing is done', async fixture => {
    const { transactions, now } = fixture
    const bad = 'core.contract.invalid-input'
    await refuses(bad, transactions.run('', add), 'key')
    await refuses(bad, transactions.run('x'.repeat(201), add), 'key')
    await refuses(bad, transactions.run('a\0b', add), 'key')
    await refuses(bad, transactions.run('k', add, { scope: 's'.repeat(101) }), 'scope')
    await refuses(bad, transactions.run('k', add, { deadline: now() + 3_700_000 }), 'deadline')
    await refuses(bad, transactions.run('k', add, { deadline: Number.NaN }), 'deadline')
    await refuses(bad, transactions.run('k', add, { isolation: 'chaos' as 'serializable' }), 'isolation')
    await refuses(bad, transactions.pipeline('k', []), 'statements')
    await refuses(
      bad,
      transactions.pipeline(
        'k',
        Array.from({ length: 101 }, () => ({ text: 'select 1' })),
      ),
      'statements',
    )
    assert.deepEqual(await effects(fixture), [])
    await transactions.run('x'.repeat(200), add, { scope: 's'.repeat(100) })
    await transactions.pipeline(
      'p',
      Array.from({ length: 100 }, () => ({ text: 'insert into effect values (2)' })),
    )
    assert.equal((await effects(fixture)).length, 101)
  })
  scenario('a result has a size and must be JSON', async fixture => {
    const give = (result: unknown) => fixture.transactions.run('k', async tx => add(tx).then(() => result))
    await refuses('support.transaction.too-large', give('x'.repeat(suiteResultBytes - 1)), 'result')
    await refuses('core.contract.invalid-input', give(1n), 'result')
    await refuses('core.contract.invalid-input', give('a\0b'), 'result')
    assert.deepEqual(await effects(fixture), [])
    assert.equal((await give('x'.repeat(suiteResultBytes - 2))).replayed, false)
  })
}

function outcomes(scenario: Scenario): void {
  scenario('the outcome of a key can be asked', async ({ transactions, now }) => {
    assert.deepEqual(await transactions.outcome('k'), { state: 'absent' })
    let open = (): void => undefined
    const gate = new Promise<void>(resolve => {
      open = resolve
    })
    let inside = (): void => undefined
    const begun = new Promise<void>(resolve => {
      inside = resolve
    })
    const running = transactions.run('k', async () => {
      inside()
      await gate
      return 7
    })
    await begun
    assert.deepEqual(await transactions.outcome('k', { deadline: now() + 150 }), { state: 'running' })
    const waiting = transactions.outcome('k')
    open()
    await running
    const known = await waiting
    assert.deepEqual({ ...known, at: 0 }, { state: 'committed', result: 7, at: 0 })
    assert.ok(known.state === 'committed' && Math.abs(known.at - now()) < 60_000)
    assert.deepEqual(await transactions.outcome('k', { scope: 'other' }), { state: 'absent' })
  })
}

function pipelines(scenario: Scenario): void {
  const insert = (n: number) => ({ text: 'insert into effect values ($1) returning n', values: [n] })
  scenario('a pipeline commits all and replays', async fixture => {
    const ask = (body?: unknown) => fixture.transactions.pipeline('k', [insert(1), insert(2)], { body })
    assert.deepEqual(await ask(), { rows: [[{ n: 1 }], [{ n: 2 }]], replayed: false })
    assert.deepEqual(await ask(), { replayed: true })
    await refuses('support.transaction.conflict', ask('other'))
    assert.deepEqual(await effects(fixture), [1, 2])
  })
  scenario('an error in the middle of a pipeline never becomes a success', async fixture => {
    for (const bad of [0, 1, 2]) {
      const statements = [insert(1), insert(2)]
      statements.splice(bad, 0, { text: 'select $1::int / 0', values: [1] })
      await assert.rejects(fixture.transactions.pipeline('k', statements), { code: '22012' })
    }
    assert.deepEqual(await effects(fixture), [])
    assert.deepEqual(await fixture.transactions.outcome('k'), { state: 'absent' })
    await fixture.transactions.pipeline('k', [insert(3)])
    assert.deepEqual(await effects(fixture), [3])
  })
  scenario('another number of rows than expected undoes a pipeline', async fixture => {
    const change = (expectRows: number) =>
      fixture.transactions.pipeline('k', [insert(1), { text: 'update effect set n = 5', expectRows }])
    await refuses('support.transaction.rolled-back', change(2), 'statements/1')
    assert.deepEqual(await effects(fixture), [])
    assert.equal((await change(1)).replayed, false)
    assert.equal((await change(1)).replayed, true)
    assert.deepEqual(await effects(fixture), [5])
  })
  scenario('pipelines of one key at once commit once', async fixture => {
    const ask = () => fixture.transactions.pipeline('k', [insert(1)])
    const answers = await Promise.all(Array.from({ length: 8 }, ask))
    assert.equal(answers.filter(answer => !answer.replayed).length, 1)
    assert.deepEqual(await effects(fixture), [1])
  })
}
