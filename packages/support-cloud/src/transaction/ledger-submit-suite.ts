import assert from 'node:assert/strict'
import type { Ledger, LedgerResult, LedgerTransfer } from './ledger.js'
import { counters, type LedgerFixture, refuses, type Scenario, type SuiteTest, scenarioOf } from './ledger-suite.js'

const told = (results: readonly LedgerResult[]): readonly (number | string)[] =>
  results.map(result => (result.status === 'applied' ? result.amount : `${result.status}: ${result.reason}`))

async function submit(ledger: Ledger, ...transfers: LedgerTransfer[]): Promise<readonly (number | string)[]> {
  return told(await ledger.submit(transfers))
}

/** The promises of `submit`: results for each, rejections that last, chains, balancing, time; and of what is read. */
export function ledgerSubmitSuite(test: SuiteTest, fixture: () => Promise<LedgerFixture>): void {
  const scenario = scenarioOf(test, fixture)
  results(scenario)
  repeats(scenario)
  chains(scenario)
  balancing(scenario)
  timeouts(scenario)
  reading(scenario)
  times(scenario)
}

function results(scenario: Scenario): void {
  scenario('each transfer of a call has its own result', async ({ ledger, move, uuid }) => {
    const answers = await submit(
      ledger,
      move('bank', 'alice', 10),
      move('alice', 'shop', 11),
      move('alice', 'shop', 4),
      move('bank', 'nobody', 1),
      move('bank', 'dollars', 1),
      move('bank', 'fine', 1),
      { kind: 'post', id: uuid(), pending: uuid() },
      move('alice', 'shop', 6),
    )
    assert.deepEqual(answers, [
      10,
      'rejected: exceeds-credits',
      4,
      'refused: credit-account-not-found',
      'refused: asset-differs',
      'refused: asset-differs',
      'rejected: pending-not-found',
      6,
    ])
    assert.deepEqual(await counters(ledger, 'alice'), [10, 10, 0, 0])
  })
  for (const company of [0, 5]) {
    scenario(`a rejected id stays rejected, in a call of ${company + 1}`, async ({ ledger, move }) => {
      const others = (): LedgerTransfer[] => Array.from({ length: company }, () => move('bank', 'shop', 1))
      const late = move('alice', 'shop', 5)
      assert.deepEqual((await submit(ledger, late, ...others()))[0], 'rejected: exceeds-credits')
      await ledger.submit([move('bank', 'alice', 100), ...others()])
      const [again] = await ledger.submit([late, ...others()])
      assert.deepEqual(again, { status: 'rejected', id: late.id, reason: 'exceeds-credits', repeated: true })
      assert.equal((await submit(ledger, { ...late, amount: 6 }, ...others()))[0], 'refused: conflict')
      await refuses('support.transaction.insufficient', ledger.apply([late]))
      assert.deepEqual((await ledger.lookup([late.id]))[0]?.reason, 'exceeds-credits')
      assert.deepEqual(await counters(ledger, 'alice'), [0, 100, 0, 0])
    })
  }
  scenario('what apply refuses leaves no trace', async ({ ledger, move }) => {
    const late = move('alice', 'shop', 5)
    await refuses('support.transaction.insufficient', ledger.apply([late]))
    assert.deepEqual(await ledger.lookup([late.id]), [])
    await ledger.apply([move('bank', 'alice', 5)])
    assert.deepEqual(await submit(ledger, late), [5])
  })
  scenario('what names no account leaves no trace', async ({ ledger, move }) => {
    const early = move('bank', 'newcomer', 5)
    assert.deepEqual(await submit(ledger, early), ['refused: credit-account-not-found'])
    assert.deepEqual(await ledger.lookup([early.id]), [])
    await ledger.createAccounts([{ id: 'newcomer', currency: 'CNY' }])
    assert.deepEqual(await submit(ledger, early), [5])
  })
}

function repeats(scenario: Scenario): void {
  scenario('repeats and conflicts within one call', async ({ ledger, move }) => {
    const one = move('bank', 'shop', 7)
    const poor = move('alice', 'shop', 7)
    const answers = await ledger.submit([one, one, { ...one, ref: 'other' }, poor, move('bank', 'alice', 50), poor])
    assert.deepEqual(told(answers), [
      7,
      7,
      'refused: conflict',
      'rejected: exceeds-credits',
      50,
      'rejected: exceeds-credits',
    ])
    assert.deepEqual(await counters(ledger, 'shop'), [0, 7, 0, 0])
  })
  scenario('malformed transfers name their field, and nothing is written', async ({ ledger, move, uuid }) => {
    const good = move('bank', 'shop', 1)
    const wrong: readonly (readonly [field: string, transfer: object])[] = [
      ['amount', { ...good, amount: -1 }],
      ['amount', { ...good, amount: 0 }],
      ['amount', { ...good, amount: 1.5 }],
      ['amount', { ...good, amount: 2 ** 53 }],
      ['amount', { ...good, amount: 1e15 + 1 }],
      ['amount', { ...good, amount: Number.NaN }],
      ['amount', { ...good, amount: '5' }],
      ['credit', { ...good, credit: 'bank' }],
      ['debit', { ...good, debit: 'Über' }],
      ['currency', { ...good, currency: 'cny' }],
      ['ref', { ...good, ref: '\0' }],
      ['ref', { ...good, ref: '\ud800' }],
      ['timeoutMs', { ...good, timeoutMs: 5 }],
      ['timeoutMs', { ...good, kind: 'pending', timeoutMs: 0 }],
      ['amount', { kind: 'void', id: uuid(), pending: uuid(), amount: 5 }],
      ['pending', { kind: 'post', id: good.id, pending: good.id }],
      ['linked', { ...good, linked: true }],
    ]
    for (const [field, transfer] of wrong) {
      await assert.rejects(ledger.submit([good, transfer as LedgerTransfer]), {
        code: 'support.transaction.invalid-transfer',
        field: `transfers/1/${field}`,
      })
    }
    assert.deepEqual(await ledger.lookup([good.id]), [])
  })
}

function chains(scenario: Scenario): void {
  scenario('a chain is applied whole or not at all', async ({ ledger, move }) => {
    const chain = [move('bank', 'alice', 10, { linked: true }), move('alice', 'shop', 11)]
    const alone = move('bank', 'shop', 1)
    const answers = ['rejected: linked-failed', 'rejected: exceeds-credits', 1]
    assert.deepEqual(await submit(ledger, ...chain, alone), answers)
    assert.deepEqual(await counters(ledger, 'alice'), [0, 0, 0, 0])
    await submit(ledger, move('bank', 'alice', 100))
    assert.deepEqual(await submit(ledger, ...chain, alone), answers, 'and stays so')
    const whole = [move('bank', 'alice', 10, { linked: true }), move('alice', 'shop', 110)]
    assert.deepEqual(await submit(ledger, ...whole), [10, 110])
    assert.deepEqual(await submit(ledger, ...whole), [10, 110])
    assert.deepEqual(await counters(ledger, 'alice'), [110, 110, 0, 0])
  })
  scenario('a chain with a refusal leaves no trace', async ({ ledger, move }) => {
    const [first, second] = [move('bank', 'shop', 1, { linked: true }), move('bank', 'nobody', 1)]
    const answers = ['refused: linked-failed', 'refused: credit-account-not-found']
    assert.deepEqual(await submit(ledger, first, second), answers)
    assert.deepEqual(await ledger.lookup([first.id, second.id]), [])
  })
  scenario('a member of a chain is another body than the same transfer alone', async ({ ledger, move }) => {
    const [first, second] = [move('bank', 'shop', 1, { linked: true }), move('bank', 'shop', 2)]
    await submit(ledger, first, second)
    assert.deepEqual(await submit(ledger, second), ['refused: conflict'])
    const longer = [first, { ...second, linked: true }, move('bank', 'shop', 3)]
    assert.deepEqual(await submit(ledger, ...longer), [
      'refused: conflict',
      'refused: linked-failed',
      'refused: linked-failed',
    ])
  })
  scenario('a pending transfer and its end may share a chain', async ({ ledger, move, uuid }) => {
    const pending = move('bank', 'shop', 9, { kind: 'pending', linked: true })
    const post = { kind: 'post', id: uuid(), pending: pending.id, amount: 4 } as const
    assert.deepEqual(await submit(ledger, pending, post), [9, 4])
    assert.deepEqual(await counters(ledger, 'shop'), [0, 4, 0, 0])
  })
  scenario('open chains, ids named twice and cycles are malformed', async ({ ledger, move, uuid }) => {
    const [a, b] = [move('bank', 'shop', 1, { linked: true }), move('bank', 'shop', 2)]
    const pending = move('bank', 'shop', 9, { kind: 'pending' })
    const post = { kind: 'post', id: uuid(), pending: pending.id, linked: true } as const
    for (const [field, call] of [
      ['transfers/1/linked', [b, a]],
      ['transfers/1/id', [a, { ...b, id: a.id }]],
      ['transfers/0/pending', [post, pending]],
    ] as const) {
      await assert.rejects(ledger.submit(call), { code: 'support.transaction.invalid-transfer', field })
    }
    assert.deepEqual(await ledger.lookup([a.id, b.id, pending.id]), [])
  })
}

function balancing(scenario: Scenario): void {
  scenario('a balancing transfer moves what the limit allows', async ({ ledger, move }) => {
    await submit(ledger, move('bank', 'alice', 30), move('alice', 'shop', 10, { kind: 'pending' }))
    const sweep = move('alice', 'shop', 1000, { balancingDebit: true })
    assert.deepEqual(await submit(ledger, sweep), [20])
    await submit(ledger, move('bank', 'alice', 500))
    assert.deepEqual(await submit(ledger, sweep), [20], 'a repeat has the amount of the first time')
    assert.deepEqual(await submit(ledger, { ...sweep, amount: 20 }), ['refused: conflict'])
    assert.deepEqual(await submit(ledger, move('alice', 'shop', 7, { balancingDebit: true })), [7])
    await submit(ledger, move('cap', 'bank', 12))
    assert.deepEqual(await submit(ledger, move('bank', 'cap', 99, { balancingCredit: true })), [12])
    assert.deepEqual(await submit(ledger, move('bank', 'cap', 99, { balancingCredit: true })), [
      'rejected: exceeds-debits',
    ])
  })
  scenario('both sides may balance, and each needs its limit', async ({ ledger, move }) => {
    await submit(ledger, move('bank', 'alice', 30), move('cap', 'bank', 12))
    const both = move('alice', 'cap', 99, { balancingDebit: true, balancingCredit: true })
    assert.deepEqual(await submit(ledger, both), [12])
    for (const extra of [{ balancingDebit: true }, { balancingCredit: true }]) {
      assert.deepEqual(await submit(ledger, move('bank', 'shop', 5, extra)), ['refused: balancing-without-limit'])
    }
  })
}

function timeouts(scenario: Scenario): void {
  scenario(
    'after its timeout a pending transfer cannot be posted or voided',
    async ({ ledger, move, uuid, passTime }) => {
      const [late, kept] = [50, undefined].map(timeoutMs =>
        move('bank', 'shop', 5, { kind: 'pending', ...(timeoutMs === undefined ? {} : { timeoutMs }) }),
      ) as [LedgerTransfer, LedgerTransfer]
      await submit(ledger, late, kept)
      await passTime(60)
      const end = (kind: 'post' | 'void', { id }: LedgerTransfer) => ({ kind, id: uuid(), pending: id }) as const
      const post = end('post', late)
      assert.deepEqual(await submit(ledger, post), ['rejected: expired'], 'before any sweep')
      assert.deepEqual(await counters(ledger, 'shop'), [0, 0, 0, 10])
      assert.equal(await ledger.expire(), 1)
      assert.equal(await ledger.expire(), 0)
      assert.deepEqual(await counters(ledger, 'shop'), [0, 0, 0, 5])
      assert.deepEqual(await submit(ledger, post, end('void', late), end('post', kept)), [
        'rejected: expired',
        'rejected: expired',
        5,
      ])
      assert.equal((await ledger.lookup([late.id]))[0]?.resolved, 'expire')
    },
  )
  scenario('the sweep leaves alone what was ended in time', async ({ ledger, move, uuid, passTime }) => {
    const pending = move('bank', 'shop', 5, { kind: 'pending', timeoutMs: 50_000 })
    await submit(ledger, pending, { kind: 'post', id: uuid(), pending: pending.id })
    await passTime(60_000)
    assert.equal(await ledger.expire(), 1)
    assert.deepEqual(await counters(ledger, 'shop'), [0, 5, 0, 0])
  })
}

function reading(scenario: Scenario): void {
  scenario('the history of an account has its balance after every entry', async ({ ledger, move, uuid }) => {
    const pending = move('alice', 'shop', 20, { kind: 'pending' })
    await submit(ledger, move('bank', 'alice', 30), pending)
    await submit(ledger, { kind: 'post', id: uuid(), pending: pending.id, amount: 5 })
    await submit(ledger, move('alice', 'shop', 1), move('bank', 'alice', 100), move('alice', 'bank', 7))
    const { items, next } = await ledger.history('alice')
    assert.equal(next, undefined)
    assert.deepEqual(
      items.map(({ version, amount, balance }) => [version, amount, balance]),
      [
        [5, -7, 117],
        [4, 100, 124],
        [3, -1, 24],
        [2, -5, 25],
        [1, 30, 30],
      ],
    )
  })
  scenario('pages of a sharded account lack nothing and overlap nowhere', async ({ ledger, move }) => {
    for (let call = 0; call < 12; call++) {
      await ledger.submit(Array.from({ length: 1 + (call % 7) }, (_, n) => move('bank', 'shop', n + 1)))
    }
    const whole = await ledger.history('shop', { limit: 1000 })
    const seen = []
    for (let after: string | undefined, pages = 0; pages < 100; pages++) {
      const page = await ledger.history('shop', { limit: 5, ...(after === undefined ? {} : { after }) })
      seen.push(...page.items)
      after = page.next
      if (after === undefined) break
    }
    assert.deepEqual(seen, whole.items)
    const [balance] = await ledger.balances(['shop'])
    assert.equal(
      whole.items.reduce((sum, entry) => sum + entry.amount, 0),
      balance?.creditsPosted,
    )
    await refuses('support.transaction.unknown-account', ledger.history('nobody'))
    for (const page of [{ limit: 0 }, { limit: 1001 }, { after: 'x' }]) {
      await refuses('support.transaction.invalid-transfer', ledger.history('shop', page))
    }
  })
}

function times(scenario: Scenario): void {
  scenario('the balance at any time', async ({ ledger, move, passTime }) => {
    const moments: number[] = []
    for (let n = 1; n <= 9; n++) {
      await ledger.submit([move('bank', 'shop', n)])
      const [entry] = (await ledger.history('shop', { limit: 1 })).items
      moments.push(entry?.at ?? 0)
      await passTime(10)
    }
    let sum = 0
    for (const [index, at] of moments.entries()) {
      assert.equal(await ledger.balanceAt('shop', at - 5), sum)
      sum += index + 1
      assert.equal(await ledger.balanceAt('shop', at + 2), sum)
      assert.equal(await ledger.balanceAt('bank', at + 2), -sum)
    }
    await refuses('support.transaction.unknown-account', ledger.balanceAt('nobody', 5))
  })
  scenario('accounts are listed by pages', async ({ ledger }) => {
    const all = await ledger.accounts()
    const first = await ledger.accounts({ limit: 3 })
    const rest = await ledger.accounts({ limit: 3, after: first.next ?? '' })
    assert.deepEqual([...first.items, ...rest.items], all.items)
    assert.deepEqual(all.items[0], {
      id: 'alice',
      currency: 'CNY',
      scale: 2,
      code: 'account',
      shards: 1,
      limit: 'debits-within-credits',
    })
  })
}
