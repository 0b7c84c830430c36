export { deadEvents, forgetDead, forgetInbox, replayDead } from './dead-events.js'
export {
  type DeadEvent,
  emitEvent,
  inboxDays,
  inboxNew,
  inboxOnce,
  type OutboxEvent,
  type OutboxRelay,
  type OutboxRelayStats,
  type Subscriber,
} from './event.js'
export { bellChannel, createOutboxBell, type OutboxBell, type OutboxBellOptions } from './outbox-bell.js'
export { createOutboxRelay, type OutboxRelayOptions } from './outbox-relay.js'
export { type OutboxStatus, outboxStatus, type RelayStatus } from './outbox-status.js'
export { type EventPublisher, eventOf, type ToStreamsOptions, toStreams } from './to-streams.js'
