export type { PriceRules } from './price-chain-core.js'
export {
  Adjustment,
  maxListAmount,
  OrderLineInput,
  PriceBuyer,
  pricingContract,
  Quote,
  QuoteLine,
  quoteHook,
} from './pricing-contract.js'
export { listPrices, pricingMigrations } from './pricing-migrations.js'
export { type PricingConfig, type PricingDeps, PricingService } from './pricing-service.js'
