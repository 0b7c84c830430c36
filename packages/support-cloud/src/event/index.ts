export { deadEvents, forgetInbox, replayDead } from './dead-events.js'
export {
  type DeadEvent,
  emitEvent,
  inboxOnce,
  type OutboxEvent,
  type OutboxRelay,
  type OutboxRelayStats,
  type Subscriber,
} from './event.js'
export { createOutboxRelay, type OutboxRelayOptions } from './outbox-relay.js'
