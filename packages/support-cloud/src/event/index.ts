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
export { outboxRelaySuite } from './outbox-relay-suite.js'
export type { OutboxRelaySuiteFixture } from './outbox-suite-fixture.js'
