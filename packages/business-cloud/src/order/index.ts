export {
  Address,
  Order,
  OrderEvent,
  OrderLine,
  OrderState,
  OrderSummary,
  orderContract,
  orderEventHook,
  placeHook,
} from './order-contract.js'
export type { OrderConfig, OrderDeps, OrderSku } from './order-deps.js'
export {
  type OrderEdge,
  type OrderEventName,
  type OrderFacts,
  type OrderGuard,
  type OrderStep,
  type OrderTransition,
  orderHooks,
  orderMachine,
  orderStep,
} from './order-machine.js'
export { orderMigrations } from './order-migrations.js'
export { paymentIdOf } from './order-number.js'
export { OrderService } from './order-service.js'
export type { AppliedMove, OrderMove, TransitionOutcome, TransitionParticipant } from './order-transitions.js'
export { checkShopInvariants, type InvariantBreach } from './shop-invariants.js'
