import { type Clock, CloudError, type Logger } from '@aaas/core-cloud/kernel'
import type { Database } from '@aaas/support-cloud/rdbms'
import type { Payment } from './payment-contract.js'

export interface PaymentEventMessage {
  /** The same for every repeat. */
  readonly eventId: string
  readonly payment: Payment
}

/** Hands one event to the tenant's program; rejects when it did not take it. */
export type DeliverPaymentEvent = (tenant: string, event: PaymentEventMessage) => Promise<void>

export interface EventDeliveryDeps {
  readonly database: Database
  readonly deliver: DeliverPaymentEvent
  readonly clock: Clock
  readonly logger: Logger
}

interface EventRow {
  readonly event_id: string
  readonly tenant: string
  readonly payment: Payment
  readonly attempts: number
}

/** Events taken at a time; a tenant that does not answer holds up at most these. */
const batch = 16
/** While an event is with this process no other one takes it; after a crash it is due again then. */
const leaseMs = 30_000
const maxBackoffMs = 300_000
/** Attempts before an event is set aside: with the backoff above about three days. */
const maxAttempts = 900

/**
 * Delivers the events that were committed with the changes they tell of: at least once, until the tenant's program
 * answers, in any order. The rows are the queue, so several processes may deliver and a crash loses nothing.
 */
export class EventDelivery {
  readonly #deps: EventDeliveryDeps

  constructor(deps: EventDeliveryDeps) {
    this.#deps = deps
  }

  /** Delivers what is due, at most one batch. @returns how many were taken. */
  async runDue(): Promise<number> {
    const { database, clock } = this.#deps
    const rows = await database.query<EventRow>({
      name: 'payment-event-claim',
      text: `update payment_event set next_at = $1 + ${leaseMs}, attempts = attempts + 1 where event_id in (
          select event_id from payment_event where next_at <= $1 order by next_at limit ${batch} for update skip locked)
        returning event_id, tenant, payment, attempts`,
      values: [clock.now()],
    })
    await Promise.all(rows.map(row => this.#deliver(row)))
    return rows.length
  }

  async #deliver(row: EventRow): Promise<void> {
    const { database, deliver, clock, logger } = this.#deps
    try {
      await deliver(row.tenant, { eventId: row.event_id, payment: row.payment })
    } catch (error) {
      const { code, message } = CloudError.from(error)
      const dead = row.attempts >= maxAttempts
      const nextAt = clock.now() + Math.min(maxBackoffMs, 500 * 2 ** Math.min(row.attempts - 1, 12))
      const log = dead ? logger.error : logger.warn
      log(dead ? 'payment event set aside' : 'payment event not delivered', {
        tenant: row.tenant,
        eventId: row.event_id,
        attempts: row.attempts,
        error,
      })
      await database.query({
        name: 'payment-event-failed',
        text: 'update payment_event set next_at = $2, last_error = $3 where event_id = $1',
        values: [row.event_id, dead ? null : nextAt, `${code}: ${message}`.slice(0, 500)],
      })
      return
    }
    await database.query({
      name: 'payment-event-delivered',
      text: 'delete from payment_event where event_id = $1',
      values: [row.event_id],
    })
  }
}
