import assert from 'node:assert/strict'
import { CloudError, type ErrorCode } from '@aaas/core-cloud/kernel'
import type { Ledger, LedgerMovement, LedgerTransfer } from './ledger.js'

/** What a driver gives the suite: an empty ledger, ids, and a hand on the clock of its database. */
export interface LedgerFixture extends AsyncDisposable {
  readonly ledger: Ledger
  uuid(): string
  /** Moves the database's time forward. */
  passTime(ms: number): Promise<void>
}

export type SuiteTest = (name: string, fn: () => Promise<void>) => unknown

async function open(fixture: () => Promise<LedgerFixture>): Promise<LedgerFixture> {
  const opened = await fixture()
  await opened.ledger.createAccounts([
    { id: 'bank', currency: 'CNY', shards: 4 },
    { id: 'alice', currency: 'CNY', limit: 'debits-within-credits' },
    { id: 'cap', currency: 'CNY', limit: 'credits-within-debits' },
    { id: 'shop', currency: 'CNY', shards: 16 },
    { id: 'dollars', currency: 'USD' },
    { id: 'fine', currency: 'CNY', scale: 4 },
  ])
  return opened
}

export const refuses = (code: ErrorCode, work: Promise<unknown>): Promise<void> =>
  assert.rejects(work, error => {
    assert.ok(CloudError.is(error), String(error))
    assert.equal(error.code, code)
    return true
  })

/** The promises of {@link Ledger} about single calls and all that is common to both ways in, free of any runner. */
export function ledgerSuite(test: SuiteTest, fixture: () => Promise<LedgerFixture>): void {
  const scenario = scenarioOf(test, fixture)
  movements(scenario)
  resolutions(scenario)
  refusals(scenario)
}

/** A scenario has its own accounts, and ends with a proof of the whole ledger. */
export function scenarioOf(test: SuiteTest, fixture: () => Promise<LedgerFixture>): Scenario {
  return (name, run) => {
    test(name, async () => {
      const opened = await open(fixture)
      await using _ = opened
      const move: Mover = (debit, credit, amount, extra = {}) => ({
        ...{ kind: 'posted', id: opened.uuid(), debit, credit, amount, currency: 'CNY', code: 'test', ...extra },
      })
      await run({
        ledger: opened.ledger,
        uuid: () => opened.uuid(),
        passTime: ms => opened.passTime(ms),
        move,
        [Symbol.asyncDispose]: async () => undefined,
      })
      const report = await opened.ledger.check()
      assert.deepEqual(
        { balanced: report.balanced, wrong: report.wrongAccounts, difference: report.difference },
        balancedReport,
      )
      assert.deepEqual((await opened.ledger.verify()).wrong, undefined)
    })
  }
}

const balancedReport = { balanced: true, wrong: [], difference: 0 }
export type Mover = (debit: string, credit: string, amount: number, extra?: Partial<LedgerMovement>) => LedgerMovement
export type Scenario = (name: string, run: (fixture: LedgerFixture & { move: Mover }) => Promise<void>) => void

export async function counters(ledger: Ledger, account: string): Promise<readonly number[]> {
  const [row] = await ledger.balances([account])
  return row === undefined ? [] : [row.debitsPosted, row.creditsPosted, row.debitsPending, row.creditsPending]
}

function movements(scenario: Scenario): void {
  scenario('a posted transfer moves its amount at once', async ({ ledger, move }) => {
    assert.equal(await ledger.apply([move('bank', 'alice', 500)]), 1)
    assert.deepEqual(await counters(ledger, 'alice'), [0, 500, 0, 0])
    assert.deepEqual(await counters(ledger, 'bank'), [500, 0, 0, 0])
  })
  scenario('a pending transfer is only reserved', async ({ ledger, move }) => {
    await ledger.apply([move('bank', 'shop', 70, { kind: 'pending' })])
    assert.deepEqual(await counters(ledger, 'shop'), [0, 0, 0, 70])
    assert.deepEqual(await counters(ledger, 'bank'), [0, 0, 70, 0])
  })
  scenario('a repeat changes nothing, within one call too', async ({ ledger, move }) => {
    const one = move('bank', 'shop', 9)
    assert.equal(await ledger.apply([one, one]), 1)
    assert.equal(await ledger.apply([one, move('bank', 'shop', 1)]), 1)
    assert.deepEqual(await counters(ledger, 'shop'), [0, 10, 0, 0])
  })
  scenario('transfers read back as they were given', async ({ ledger, move }) => {
    const given = [move('bank', 'shop', 9, { ref: 'order-1' }), move('bank', 'shop', 3, { kind: 'pending' })]
    await ledger.apply(given)
    const stored = await ledger.lookup(given.map(one => one.id))
    const bodies = [...stored].sort((a, b) => b.amount - a.amount).map(({ at: _, ...body }) => body)
    assert.deepEqual(bodies, given)
  })
  scenario('a thousand transfers go in one call, one more does not', async ({ ledger, move }) => {
    const many = Array.from({ length: 1000 }, () => move('bank', 'shop', 1))
    await refuses('support.transaction.invalid-transfer', ledger.apply([...many, move('bank', 'shop', 1)]))
    await refuses('support.transaction.invalid-transfer', ledger.apply([]))
    assert.equal(await ledger.apply(many), 1000)
  })
  scenario('creating an account again is fine unless it differs', async ({ ledger }) => {
    await ledger.createAccounts([{ id: 'shop', currency: 'CNY', shards: 16 }])
    await refuses('support.transaction.conflict', ledger.createAccounts([{ id: 'shop', currency: 'CNY', shards: 8 }]))
    await refuses(
      'support.transaction.invalid-transfer',
      ledger.createAccounts([{ id: 'x', currency: 'CNY', shards: 257 }]),
    )
    await refuses(
      'support.transaction.invalid-transfer',
      ledger.createAccounts([{ id: 'x', currency: 'CNY', shards: 2, limit: 'debits-within-credits' }]),
    )
  })
}

function resolutions(scenario: Scenario): void {
  scenario('post moves a pending amount, and a part of it releases the rest', async ({ ledger, move, uuid }) => {
    const [whole, part] = [move('bank', 'shop', 70, { kind: 'pending' }), move('bank', 'shop', 30, { kind: 'pending' })]
    await ledger.apply([whole, part])
    const post: LedgerTransfer[] = [
      { kind: 'post', id: uuid(), pending: whole.id },
      { kind: 'post', id: uuid(), pending: part.id, amount: 10 },
    ]
    assert.equal(await ledger.apply(post), 2)
    assert.deepEqual(await counters(ledger, 'shop'), [0, 80, 0, 0])
    assert.equal(await ledger.apply(post), 0)
    assert.deepEqual(await counters(ledger, 'shop'), [0, 80, 0, 0])
  })
  scenario('void gives a pending amount back', async ({ ledger, move, uuid }) => {
    const pending = move('bank', 'shop', 70, { kind: 'pending' })
    await ledger.apply([pending])
    await ledger.apply([{ kind: 'void', id: uuid(), pending: pending.id }])
    assert.deepEqual(await counters(ledger, 'shop'), [0, 0, 0, 0])
  })
  scenario('a pending transfer ends once', async ({ ledger, move, uuid }) => {
    const [pending, posted] = [move('bank', 'shop', 70, { kind: 'pending' }), move('bank', 'shop', 1)]
    await ledger.apply([pending, posted])
    await ledger.apply([{ kind: 'post', id: uuid(), pending: pending.id }])
    await refuses('support.transaction.not-pending', ledger.apply([{ kind: 'void', id: uuid(), pending: pending.id }]))
    await refuses('support.transaction.not-pending', ledger.apply([{ kind: 'post', id: uuid(), pending: posted.id }]))
    await refuses('support.transaction.not-pending', ledger.apply([{ kind: 'post', id: uuid(), pending: uuid() }]))
  })
  scenario('posting more than is pending is refused', async ({ ledger, move, uuid }) => {
    const pending = move('bank', 'shop', 70, { kind: 'pending' })
    await ledger.apply([pending])
    const post = { kind: 'post', id: uuid(), pending: pending.id, amount: 71 } as const
    await refuses('support.transaction.invalid-transfer', ledger.apply([post]))
  })
  scenario('pending amounts count for a limit', async ({ ledger, move, uuid }) => {
    await ledger.apply([move('bank', 'alice', 100)])
    const pending = move('alice', 'shop', 80, { kind: 'pending' })
    await ledger.apply([pending])
    await refuses('support.transaction.insufficient', ledger.apply([move('alice', 'shop', 21)]))
    await ledger.apply([{ kind: 'void', id: uuid(), pending: pending.id }])
    await ledger.apply([move('alice', 'shop', 100)])
    assert.deepEqual(await counters(ledger, 'alice'), [100, 100, 0, 0])
  })
}

function refusals(scenario: Scenario): void {
  scenario('a call is all or nothing', async ({ ledger, move }) => {
    await refuses('support.transaction.insufficient', ledger.apply([move('bank', 'shop', 5), move('alice', 'shop', 1)]))
    await refuses(
      'support.transaction.unknown-account',
      ledger.apply([move('bank', 'shop', 5), move('bank', 'nobody', 1)]),
    )
    assert.deepEqual(await counters(ledger, 'shop'), [0, 0, 0, 0])
  })
  scenario('an id cannot be used for another transfer', async ({ ledger, move }) => {
    const one = move('bank', 'shop', 5)
    await ledger.apply([one])
    for (const other of [
      { ...one, amount: 6 },
      { ...one, ref: 'x' },
      { ...one, code: 'y' },
      { ...one, kind: 'pending' as const },
    ]) {
      await refuses('support.transaction.conflict', ledger.apply([move('bank', 'shop', 1), other]))
    }
  })
  scenario('malformed transfers are refused', async ({ ledger, move }) => {
    const wrong: readonly LedgerTransfer[] = [
      move('bank', 'shop', 0),
      move('bank', 'shop', -1),
      move('bank', 'shop', 1_000_000_000_000_001),
      move('bank', 'shop', 0.5),
      move('bank', 'bank', 1),
      move('bank', 'dollars', 1),
      move('bank', 'shop', 1, { currency: 'USD' }),
      move('bank', 'shop', 1, { id: 'not-a-uuid' }),
      { ...move('bank', 'shop', 1), kind: 'gift' } as unknown as LedgerTransfer,
    ]
    for (const transfer of wrong) await refuses('support.transaction.invalid-transfer', ledger.apply([transfer]))
    assert.equal((await ledger.check()).transfers, 0)
  })
}
