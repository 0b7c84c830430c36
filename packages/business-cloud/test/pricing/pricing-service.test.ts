import type { Hook, HookHost } from '@aaas/core-cloud/cloudware'
import { test } from 'tap'
import { Compile } from 'typebox/compile'
import type { SkuFacts } from '../../src/catalogue/index.js'
import { type PricingConfig, PricingService, pricingContract, type Quote, quoteHook } from '../../src/pricing/index.js'

type Seen = { buyer: { groups: readonly string[] }; quote: Quote }

function facts(sku: string, amount: number | undefined, currency = 'CNY'): SkuFacts {
  const name = { 'zh-CN': sku, en: sku }
  return { sku, slug: 'x', name, options: {}, image: '', brand: '', category: 'c', amount, currency }
}

const shelf = new Map(
  [facts('A', 1_000), facts('B', 50), facts('NONE', undefined), facts('USD', 5, 'USD')].map(item => [item.sku, item]),
)
const buyer = { groups: [] }

function pricing(
  change?: (value: Seen) => unknown,
  config: Partial<PricingConfig> = {},
): { service: PricingService; calls: unknown[] } {
  const calls: unknown[] = []
  const hooks: Pick<HookHost, 'has' | 'transform'> = {
    has: name => change !== undefined && name === 'pricing.quote@1',
    transform: async <T>(hook: Hook, value: T): Promise<T> => {
      calls.push([hook.name, value])
      return change?.(value as Seen) as T
    },
  }
  const skus = {
    loadSkus: async (wanted: readonly string[]) =>
      new Map(wanted.flatMap(sku => (shelf.has(sku) ? [[sku, shelf.get(sku) as SkuFacts]] : []))),
  }
  return { service: new PricingService({ skus, hooks, config: { currency: 'CNY', ...config } }), calls }
}

test('a quote without extensions', async t => {
  const { service, calls } = pricing(undefined, { freight: { amount: 800, freeFrom: 9_900 } })
  const quote = await service.quote({
    lines: [
      { sku: 'A', quantity: 2 },
      { sku: 'B', quantity: 1 },
    ],
    buyer,
  })
  t.ok(Compile(pricingContract.methods.quote.output).Check(quote))
  t.match(quote, { subtotal: 2_050, freight: 800, total: 2_850, currency: 'CNY' })
  t.equal(calls.length, 0)
})

test('a package gives a discount; totals are ours', async t => {
  const { service, calls } = pricing(
    ({ buyer, quote }) => ({
      buyer,
      quote: {
        ...quote,
        total: 1,
        lines: quote.lines.map(line => ({
          ...line,
          adjustments: [
            ...line.adjustments,
            { code: 'vip', label: { 'zh-CN': '会员', en: 'VIP' }, amount: -Math.floor(line.amount / 20) },
          ],
        })),
      },
    }),
    { freight: { amount: 800, freeFrom: 2_000 } },
  )
  const quote = await service.quote({ lines: [{ sku: 'A', quantity: 2 }], buyer: { groups: ['vip'] } })
  t.match(quote, {
    subtotal: 1_900,
    freight: 800,
    total: 2_700,
    lines: [{ amount: 1_900, adjustments: [{ code: 'vip', amount: -100 }] }],
  })
  t.match(calls, [['pricing.quote@1', { buyer: { groups: ['vip'] }, quote: { subtotal: 2_000, freight: 0 } }]])
})

test('an answer that does not hold fails the call and says where', async t => {
  const { service } = pricing(({ buyer, quote }) => ({
    buyer,
    quote: { ...quote, lines: quote.lines.map(line => ({ ...line, unitAmount: 1 })) },
  }))
  await t.rejects(service.quote({ lines: [{ sku: 'A', quantity: 1 }], buyer }), {
    code: 'core.cloudware.hook-failed',
    details: { hook: quoteHook.name, field: 'quote/lines/0/unitAmount' },
  })
})

test('lines that cannot be priced are named', async t => {
  const { service } = pricing()
  const one = (sku: string, quantity = 1): Promise<Quote> =>
    service.quote({
      lines: [
        { sku: 'A', quantity: 1 },
        { sku, quantity },
      ],
      buyer,
    })
  await t.rejects(one('GONE'), {
    code: 'business.catalogue.unknown-product',
    field: 'lines/1/sku',
    details: { sku: 'GONE' },
  })
  await t.rejects(one('NONE'), { code: 'business.pricing.unavailable', field: 'lines/1/sku' })
  await t.rejects(one('USD'), { code: 'business.pricing.unavailable', field: 'lines/1/sku' })
  await t.rejects(one('A'), { code: 'core.contract.invalid-input', field: 'lines/1/sku' })
  await t.rejects(one('B', 1_000), { code: 'core.contract.invalid-input', field: 'lines/1/quantity' })
  await t.rejects(one('B', 1.5), { code: 'core.contract.invalid-input', field: 'lines/1/quantity' })
  await t.rejects(service.quote({ lines: [], buyer }), { code: 'core.contract.invalid-input', field: 'lines' })
  await one('B', 999)
})

test('rules are checked at start', async t => {
  for (const [field, config] of [
    ['currency', { currency: 'yuan' }],
    ['freight/amount', { freight: { amount: 1.5 } }],
    ['freight/freeFrom', { freight: { amount: 1, freeFrom: 0.5 } }],
    ['quantityTiers/0/from', { quantityTiers: [{ from: 1, basisPoints: 1 }] }],
    ['quantityTiers/0/basisPoints', { quantityTiers: [{ from: 2, basisPoints: 10_001 }] }],
  ] as const) {
    t.throws(() => pricing(undefined, config), { code: 'core.kernel.invalid-config', field })
  }
})
