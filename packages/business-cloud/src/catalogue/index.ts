export {
  Category,
  catalogueContract,
  Language,
  Localized,
  Product,
  ProductPage,
  ProductSort,
  ProductSummary,
  Sku,
} from './catalogue-contract.js'
export { catalogueMigrations } from './catalogue-migrations.js'
export { type CatalogueChange, type CatalogueDeps, CatalogueService } from './catalogue-service.js'
export { readImport } from './import-csv.js'
export type { ImportedCatalogue, ImportedProduct, ImportedSku, ImportProblem } from './import-rows.js'
export { productIndexFields } from './product-index.js'
export type { InitialStock, ListPriceWriter, SkuFacts, SkuSource } from './sku-facts.js'
