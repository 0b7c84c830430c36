export { Category, catalogueContract, Language, Localized, Product, ProductPage, ProductSort, ProductSummary, Sku } from './catalogue-contract.js'
