export { Cart, CartLine, cartContract } from './cart-contract.js'
