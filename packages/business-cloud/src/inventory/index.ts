export { inventoryContract, StockLevel } from './inventory-contract.js'
