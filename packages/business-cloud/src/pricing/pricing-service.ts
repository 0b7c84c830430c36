import type { HookHost } from '@aaas/core-cloud/cloudware'
import type { Handlers } from '@aaas/core-cloud/contract'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { SkuSource } from '../catalogue/sku-facts.js'
import { applyAdjustments, baseQuote, type PricedLine, type PriceRules } from './price-chain-core.js'
import {
  maxListAmount,
  type OrderLineInput,
  type PriceBuyer,
  type pricingContract,
  type Quote,
  quoteHook,
} from './pricing-contract.js'

export interface PricingConfig extends PriceRules {
  /** ISO 4217 code of the site; the SKU source gives prices in it. */
  readonly currency: string
}

export interface PricingDeps {
  /** {@link SkuSource}: the catalogue service. */
  readonly skus: SkuSource
  readonly hooks: Pick<HookHost, 'has' | 'transform'>
  readonly config: PricingConfig
}

const maxLines = 100
const maxQuantity = 999

/** Prices orders: list price, built-in rules, then the packages that extend the shop. No database call of its own. */
export class PricingService implements Handlers<typeof pricingContract> {
  /** @throws CloudError `core.kernel.invalid-config` naming the rule that is wrong. */
  constructor(readonly deps: PricingDeps) {
    checkConfig(deps.config)
  }

  /**
   * @throws CloudError `business.catalogue.unknown-product` for a SKU that is not on the shelf,
   *   `business.pricing.unavailable` for one without a price, both with `field` and `details.sku`;
   *   `core.contract.invalid-input` when a SKU comes twice or a quantity is out of range;
   *   `core.cloudware.hook-failed` when a package answered a quote that does not hold.
   */
  async quote(input: { readonly lines: readonly OrderLineInput[]; readonly buyer: PriceBuyer }): Promise<Quote> {
    const { config, hooks } = this.deps
    checkLines(input.lines)
    const quote = baseQuote(config.currency, await this.#priced(input.lines), config)
    if (!hooks.has(quoteHook.name)) return quote
    const answer = await hooks.transform(quoteHook, { buyer: input.buyer, quote })
    const applied = applyAdjustments(quote, answer.quote, config)
    if ('quote' in applied) return applied.quote
    const { field, reason } = applied.problem
    throw new CloudError('core.cloudware.hook-failed', `${quoteHook.name}: ${field}: ${reason}`, {
      details: { hook: quoteHook.name, field: `quote/${field}`, reason },
    })
  }

  async #priced(lines: readonly OrderLineInput[]): Promise<PricedLine[]> {
    const facts = await this.deps.skus.loadSkus(lines.map(line => line.sku))
    return lines.map(({ sku, quantity }, index) => {
      const known = facts.get(sku)
      const where = { field: `lines/${index}/sku`, details: { sku } }
      if (known === undefined)
        throw new CloudError('business.catalogue.unknown-product', `no SKU '${sku}' on the shelf`, where)
      if (known.amount === undefined || known.currency !== this.deps.config.currency) {
        throw new CloudError(
          'business.pricing.unavailable',
          `'${sku}' has no price in ${this.deps.config.currency}`,
          where,
        )
      }
      return { sku, quantity, unitAmount: known.amount }
    })
  }
}

/** The edge checks shapes; local callers come without it, and a SKU twice passes any schema. */
function checkLines(lines: readonly OrderLineInput[]): void {
  const refuse = (field: string, reason: string): never => {
    throw new CloudError('core.contract.invalid-input', `${field}: ${reason}`, { field })
  }
  if (lines.length === 0 || lines.length > maxLines) refuse('lines', `1 to ${maxLines} lines`)
  const seen = new Set<string>()
  for (const [index, { sku, quantity }] of lines.entries()) {
    if (seen.has(sku)) refuse(`lines/${index}/sku`, `'${sku}' comes twice`)
    if (!Number.isInteger(quantity) || quantity < 1 || quantity > maxQuantity)
      refuse(`lines/${index}/quantity`, `1 to ${maxQuantity}`)
    seen.add(sku)
  }
}

function checkConfig(config: PricingConfig): void {
  const check = (good: boolean, field: string, reason: string): void => {
    if (!good) throw new CloudError('core.kernel.invalid-config', `pricing: ${field}: ${reason}`, { field })
  }
  const isAmount = (value: number): boolean => Number.isInteger(value) && value >= 0 && value <= maxListAmount
  check(/^[A-Z]{3}$/.test(config.currency), 'currency', 'must be an ISO 4217 code')
  const tiers = config.quantityTiers ?? []
  check(tiers.length <= 20, 'quantityTiers', 'at most 20')
  for (const [index, { from, basisPoints }] of tiers.entries()) {
    check(
      Number.isInteger(from) && from >= 2 && from <= maxQuantity,
      `quantityTiers/${index}/from`,
      `2 to ${maxQuantity}`,
    )
    const inRange = Number.isInteger(basisPoints) && basisPoints >= 1 && basisPoints <= 10_000
    check(inRange, `quantityTiers/${index}/basisPoints`, '1 to 10,000')
  }
  if (config.freight === undefined) return
  check(isAmount(config.freight.amount), 'freight/amount', `0 to ${maxListAmount} minor units`)
  const { freeFrom } = config.freight
  check(
    freeFrom === undefined || Number.isSafeInteger(freeFrom),
    'freight/freeFrom',
    'must be a whole number of minor units',
  )
}
