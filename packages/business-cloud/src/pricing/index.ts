export { Adjustment, OrderLineInput, PriceBuyer, pricingContract, Quote, QuoteLine, quoteHook } from './pricing-contract.js'
