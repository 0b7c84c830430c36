import { type Adjustment, maxListAmount, type Quote, type QuoteLine } from './pricing-contract.js'

/** One line before rules: the list price of the SKU, minor units. */
export interface PricedLine {
  readonly sku: string
  readonly quantity: number
  readonly unitAmount: number
}

/** Price rules of a site that need no code. All amounts are minor units. */
export interface PriceRules {
  /** From `from` units of one SKU on, `basisPoints` (1/100 %) off that line; the highest tier reached counts. At most 20. */
  readonly quantityTiers?: readonly { readonly from: number; readonly basisPoints: number }[]
  /** Freight of an order; absent: free. From a subtotal of `freeFrom` on (after all adjustments) it is free. */
  readonly freight?: { readonly amount: number; readonly freeFrom?: number }
}

/** Why a list of adjustments cannot be applied. */
export interface ChainProblem {
  /** Path in the quote. */
  readonly field: string
  readonly reason: string
}

const maxAdjustments = 20
/** The dearest line there can be. With all adjustments of a line at this limit every sum on the way is exact. */
const maxAdjustment = maxListAmount * 999

/** The built-in steps: list price, quantity tiers, freight. Lines keep their order. */
export function baseQuote(currency: string, lines: readonly PricedLine[], rules: PriceRules): Quote {
  return totalled(
    currency,
    lines.map(line => computed(line, tierAdjustments(line, rules))),
    rules,
  )
}

/**
 * The quote with the adjustments of `changed` on the lines of `quote`. Everything else is computed again, so that the
 * totals add up whatever came back.
 */
export function applyAdjustments(
  quote: Quote,
  changed: Quote,
  rules: PriceRules,
): { readonly quote: Quote } | { readonly problem: ChainProblem } {
  if (changed.currency !== quote.currency) return problem('currency', `changed to ${changed.currency}`)
  if (changed.lines.length !== quote.lines.length) return problem('lines', 'lines were added or removed')
  const lines: QuoteLine[] = []
  for (const [index, line] of quote.lines.entries()) {
    const other = changed.lines[index]
    const field = `lines/${index}`
    if (other === undefined || other.sku !== line.sku) return problem(`${field}/sku`, 'SKUs must keep their places')
    if (other.quantity !== line.quantity) return problem(`${field}/quantity`, 'the quantity changed')
    if (other.unitAmount !== line.unitAmount) return problem(`${field}/unitAmount`, 'the unit price changed')
    const wrong = adjustmentsProblem(line.adjustments, other.adjustments)
    if (wrong !== undefined) return problem(`${field}/adjustments`, wrong)
    const next = computed(line, other.adjustments)
    if (next.amount < 0) return problem(`${field}/amount`, `falls to ${next.amount}`)
    lines.push(next)
  }
  const result = totalled(quote.currency, lines, rules)
  if (!Number.isSafeInteger(result.total)) return problem('total', 'is beyond the safe range')
  return { quote: result }
}

function problem(field: string, reason: string): { readonly problem: ChainProblem } {
  return { problem: { field, reason } }
}

function adjustmentsProblem(before: readonly Adjustment[], after: readonly Adjustment[]): string | undefined {
  if (after.length > maxAdjustments) return `more than ${maxAdjustments}`
  if (after.some(adjustment => !Number.isSafeInteger(adjustment.amount)))
    return 'an amount is not a whole number of minor units'
  if (after.some(adjustment => Math.abs(adjustment.amount) > maxAdjustment))
    return `an amount is beyond ${maxAdjustment}`
  const left = [...after]
  for (const adjustment of before) {
    const at = left.findIndex(other => other.code === adjustment.code && other.amount === adjustment.amount)
    if (at < 0) return `'${adjustment.code}' was changed or removed`
    left.splice(at, 1)
  }
  return undefined
}

function computed(line: PricedLine, adjustments: readonly Adjustment[]): QuoteLine {
  const { sku, quantity, unitAmount } = line
  const amount = adjustments.reduce((sum, adjustment) => sum + adjustment.amount, unitAmount * quantity)
  return { sku, quantity, unitAmount, adjustments: [...adjustments], amount }
}

function tierAdjustments(line: PricedLine, rules: PriceRules): Adjustment[] {
  let best = 0
  let bestFrom = 0
  for (const tier of rules.quantityTiers ?? []) {
    if (line.quantity >= tier.from && tier.from >= bestFrom) {
      best = tier.basisPoints
      bestFrom = tier.from
    }
  }
  // Basis points of a line may pass 2^53 on the way; the buyer never gets more than the rule says, hence rounded down.
  const off = Number((BigInt(line.unitAmount) * BigInt(line.quantity) * BigInt(best)) / 10_000n)
  if (off === 0) return []
  const percent = best / 100
  return [
    {
      code: 'quantity-tier',
      label: { 'zh-CN': `满 ${bestFrom} 件减 ${percent}%`, en: `${percent}% off from ${bestFrom}` },
      amount: -off,
    },
  ]
}

function totalled(currency: string, lines: QuoteLine[], rules: PriceRules): Quote {
  const subtotal = lines.reduce((sum, line) => sum + line.amount, 0)
  const { amount, freeFrom } = rules.freight ?? { amount: 0 }
  const freight = freeFrom !== undefined && subtotal >= freeFrom ? 0 : amount
  return { currency, lines, subtotal, freight, total: subtotal + freight }
}
