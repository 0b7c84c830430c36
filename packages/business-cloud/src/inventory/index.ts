export { inventoryContract, StockLevel } from './inventory-contract.js'
export { inventoryMigrations } from './inventory-migration.js'
export { InventoryService, type ReservationRequest, setInitialStock } from './inventory-service.js'
export { stockError, stockShortage } from './stock-errors.js'
