export { Address, Order, OrderEvent, OrderLine, OrderState, OrderSummary, orderContract, orderEventHook, placeHook } from './order-contract.js'
