export { Address, Order, OrderEvent, OrderLine, OrderState, OrderSummary, orderContract, orderEventHook, placeHook } from './order-contract.js'
export { checkShopInvariants, type InvariantBreach } from './shop-invariants.js'
export {
  type OrderEdge,
  type OrderEventName,
  type OrderFacts,
  type OrderGuard,
  orderHooks,
  orderMachine,
  type OrderStep,
  orderStep,
  type OrderTransition,
} from './order-machine.js'
export { orderMigrations } from './order-migrations.js'
export { paymentIdOf } from './order-number.js'
export type { OrderConfig, OrderDeps, OrderSku } from './order-deps.js'
export { OrderService } from './order-service.js'
export type { AppliedMove, OrderMove, TransitionOutcome, TransitionParticipant } from './order-transitions.js'
