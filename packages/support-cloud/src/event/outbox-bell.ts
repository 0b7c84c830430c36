import type { Clock, Logger } from '@aaas/core-cloud/kernel'
import type { Queryable } from '../rdbms/database.js'

/** Channel of the notifications. */
export const bellChannel = 'aaas_outbox'

export interface OutboxBellOptions {
  readonly database: Queryable
  readonly clock: Clock
  readonly logger: Logger
  /** Milliseconds between two notifications of this process, 1 to 60_000; default 50. */
  readonly everyMs?: number
}

/** Tells relays in other processes that there are events. Only a hint: a lost one costs a relay's `pollMs`. */
export interface OutboxBell extends AsyncDisposable {
  /** Call it after a commit that wrote an event. Costs nothing by itself and never throws. */
  ring(): void
}

/**
 * Sends at most one NOTIFY per `everyMs`, by a statement of its own after the commits: the server lets transactions that
 * notify commit one after the other, so a NOTIFY in each of them costs four fifths of the throughput.
 * The first ring after a quiet time is sent at once. Relays hear it by `listen` of `support-cloud/rdbms`:
 * `listen({ url, channel: bellChannel, onNotify: () => relay.wake(), ... })`.
 */
export function createOutboxBell({ database, clock, logger, everyMs = 50 }: OutboxBellOptions): OutboxBell {
  const pause = Math.min(60_000, Math.max(1, everyMs))
  let lastAt = Number.NEGATIVE_INFINITY
  let cancel: (() => void) | undefined
  let sending: Promise<void> | undefined
  let again = false
  let closed = false
  const send = (): void => {
    cancel = undefined
    if (sending !== undefined) {
      again = true
      return
    }
    lastAt = clock.monotonic()
    const text = `notify ${bellChannel}`
    sending = database
      .query({ text })
      .then(
        () => undefined,
        (error: unknown) => logger.debug('outbox: a notification was not sent', { error }),
      )
      .finally(() => {
        sending = undefined
        if (again) ring()
        again = false
      })
  }
  const ring = (): void => {
    if (closed || cancel !== undefined) return
    const wait = lastAt + pause - clock.monotonic()
    if (wait <= 0) send()
    else cancel = clock.after(wait, send)
  }
  return {
    ring,
    async [Symbol.asyncDispose]() {
      closed = true
      // Whoever rang last is heard: what it told of was committed.
      const waits = cancel !== undefined || again
      cancel?.()
      await sending
      if (waits) send()
      await sending
    },
  }
}
