import fc from 'fast-check'
import { test } from 'tap'
import type { Adjustment, Quote } from '../../src/pricing/index.js'
import { maxListAmount } from '../../src/pricing/index.js'
import { applyAdjustments, baseQuote, type PricedLine, type PriceRules } from '../../src/pricing/price-chain-core.js'

const label = { 'zh-CN': '会员', en: 'VIP' }
const lines = fc.uniqueArray(
  fc.record({
    sku: fc.stringMatching(/^[A-Z0-9]{1,8}$/),
    quantity: fc.integer({ min: 1, max: 999 }),
    unitAmount: fc.oneof(fc.integer({ min: 0, max: 100_000 }), fc.integer({ min: 0, max: maxListAmount })),
  }),
  { minLength: 1, maxLength: 100, selector: line => line.sku },
)
const rules: fc.Arbitrary<PriceRules> = fc.record(
  {
    quantityTiers: fc.array(
      fc.record({ from: fc.integer({ min: 2, max: 999 }), basisPoints: fc.integer({ min: 1, max: 10_000 }) }),
      { maxLength: 4 },
    ),
    freight: fc.record({
      amount: fc.integer({ min: 0, max: 10_000 }),
      freeFrom: fc.integer({ min: 0, max: 1_000_000 }),
    }),
  },
  { requiredKeys: [] },
)

/** Written down apart from the code under test: what every quote must satisfy. */
function holds(quote: Quote, given: readonly PricedLine[], { freight }: PriceRules): boolean {
  const sum = (numbers: readonly number[]): bigint => numbers.reduce((total, number) => total + BigInt(number), 0n)
  const integers = [
    quote.subtotal,
    quote.freight,
    quote.total,
    ...quote.lines.flatMap(line => [line.amount, ...line.adjustments.map(a => a.amount)]),
  ]
  return (
    integers.every(Number.isSafeInteger) &&
    quote.lines.length === given.length &&
    quote.lines.every(
      (line, at) =>
        line.sku === given[at]?.sku &&
        line.quantity === given[at]?.quantity &&
        line.unitAmount === given[at]?.unitAmount,
    ) &&
    quote.lines.every(line => line.amount >= 0) &&
    quote.lines.every(
      line =>
        BigInt(line.amount) ===
        BigInt(line.unitAmount) * BigInt(line.quantity) + sum(line.adjustments.map(a => a.amount)),
    ) &&
    BigInt(quote.subtotal) === sum(quote.lines.map(line => line.amount)) &&
    BigInt(quote.total) === BigInt(quote.subtotal) + BigInt(quote.freight) &&
    quote.freight ===
      (freight === undefined || (freight.freeFrom !== undefined && quote.subtotal >= freight.freeFrom)
        ? 0
        : freight.amount)
  )
}

test('a base quote always adds up', async () => {
  fc.assert(fc.property(lines, rules, (given, config) => holds(baseQuote('CNY', given, config), given, config)))
})

test('whatever adjustments come, the result adds up or is refused', async t => {
  const adjustment = fc.record({
    code: fc.constantFrom('vip', 'gift', 'quantity-tier'),
    label: fc.constant(label),
    amount: fc.oneof(
      fc.integer({ min: -50_000, max: 10_000 }),
      fc.constantFrom(0.5, Number.NaN, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER),
    ),
  })
  let applied = 0
  fc.assert(
    fc.property(lines, rules, fc.array(fc.tuple(fc.nat(), adjustment), { maxLength: 30 }), (given, config, changes) => {
      const quote = baseQuote('CNY', given, config)
      const added = new Map<number, Adjustment[]>()
      for (const [at, change] of changes) {
        const line = at % given.length
        added.set(line, [...(added.get(line) ?? []), change])
      }
      const changed = {
        ...quote,
        total: 1,
        lines: quote.lines.map((line, at) => ({
          ...line,
          amount: 1,
          adjustments: [...line.adjustments, ...(added.get(at) ?? [])],
        })),
      }
      const before = JSON.stringify(quote)
      const outcome = applyAdjustments(quote, changed, config)
      if (JSON.stringify(quote) !== before) return false
      if ('problem' in outcome) return outcome.problem.field !== ''
      applied += 1
      return (
        holds(outcome.quote, given, config) &&
        outcome.quote.lines.every((line, at) => line.adjustments.length === changed.lines[at]?.adjustments.length)
      )
    }),
  )
  t.ok(applied > 10, `${applied} were applied`)
})

test('nothing but adjustments may change', async t => {
  const quote = baseQuote(
    'CNY',
    [
      { sku: 'A', quantity: 3, unitAmount: 100 },
      { sku: 'B', quantity: 1, unitAmount: 50 },
    ],
    {
      quantityTiers: [{ from: 3, basisPoints: 1_000 }],
    },
  )
  const [a, b] = quote.lines
  if (a === undefined || b === undefined) throw new Error('two lines')
  const vip = { code: 'vip', label, amount: -10 }
  for (const [field, changed] of [
    ['currency', { ...quote, currency: 'USD' }],
    ['lines', { ...quote, lines: [a] }],
    ['lines', { ...quote, lines: [a, b, b] }],
    ['lines/0/sku', { ...quote, lines: [b, a] }],
    ['lines/0/quantity', { ...quote, lines: [{ ...a, quantity: 2 }, b] }],
    ['lines/1/unitAmount', { ...quote, lines: [a, { ...b, unitAmount: 1 }] }],
    ['lines/0/adjustments', { ...quote, lines: [{ ...a, adjustments: [] }, b] }],
    ['lines/1/adjustments', { ...quote, lines: [a, { ...b, adjustments: [{ ...vip, amount: -0.5 }] }] }],
    [
      'lines/1/adjustments',
      { ...quote, lines: [a, { ...b, adjustments: Array.from({ length: 21 }, () => ({ ...vip, amount: -1 })) }] },
    ],
    ['lines/1/amount', { ...quote, lines: [a, { ...b, adjustments: [{ ...vip, amount: -51 }] }] }],
  ] as const) {
    const outcome = applyAdjustments(quote, changed as Quote, {})
    t.equal('problem' in outcome && outcome.problem.field, field)
  }
  const free = applyAdjustments(quote, { ...quote, lines: [a, { ...b, adjustments: [{ ...vip, amount: -50 }] }] }, {})
  t.match(free, { quote: { subtotal: 270, total: 270, lines: [{ amount: 270 }, { amount: 0 }] } })
})

test('tiers and freight at their edges', async t => {
  const config: PriceRules = {
    quantityTiers: [
      { from: 10, basisPoints: 1_000 },
      { from: 3, basisPoints: 500 },
    ],
    freight: { amount: 800, freeFrom: 1_000 },
  }
  const total = (quantity: number, unitAmount: number): (number | undefined)[] => {
    const quote = baseQuote('CNY', [{ sku: 'A', quantity, unitAmount }], config)
    return [quote.lines[0]?.adjustments[0]?.amount, quote.freight, quote.total]
  }
  t.same(total(2, 333), [undefined, 800, 1_466])
  t.same(total(3, 333), [-49, 800, 1_750])
  t.same(total(9, 100), [-45, 800, 1_655])
  t.same(total(10, 100), [-100, 800, 1_700])
  t.same(total(1, 999), [undefined, 800, 1_799])
  t.same(total(1, 1_000), [undefined, 0, 1_000])
})

test('of two equal adjustments both must stay', async t => {
  const base = baseQuote('CNY', [{ sku: 'A', quantity: 1, unitAmount: 100 }], {})
  const vip = { code: 'vip', label, amount: -10 }
  const withVip = (times: number): Quote => ({
    ...base,
    lines: base.lines.map(line => ({ ...line, adjustments: Array.from({ length: times }, () => vip) })),
  })
  t.match(applyAdjustments(withVip(2), withVip(1), {}), { problem: { field: 'lines/0/adjustments' } })
  t.match(applyAdjustments(withVip(2), withVip(3), {}), { quote: { total: 70 } })
})
