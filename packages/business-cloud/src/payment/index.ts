export { orderPaymentContract } from './payment-contract.js'
