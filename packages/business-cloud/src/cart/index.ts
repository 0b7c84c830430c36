export { Cart, CartLine, cartContract } from './cart-contract.js'
export { cartMigrations } from './cart-migrations.js'
export { type CartDeps, CartService } from './cart-service.js'
