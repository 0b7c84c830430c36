import { orderEventHook } from '@aaas/business-cloud/order'
import type { HookHost } from '@aaas/core-cloud/cloudware'
import type { Clock, Ids, Logger } from '@aaas/core-cloud/kernel'
import { createOutboxRelay, forgetDead, forgetInbox, type OutboxRelay } from '@aaas/support-cloud/event'
import type { Database } from '@aaas/support-cloud/rdbms'
import { openLedger, openLedgerArchive } from '@aaas/support-cloud/transaction'
import { orderEvents } from './shop-hooks.js'
import type { ShopServices } from './shop-services.js'

/** Delivers the shop's events to the packages that extend it: at least once, in order per order. */
export function shopRelay(options: {
  readonly database: Database
  readonly hooks: HookHost
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  /** Resolves when the packages of the start are loaded: before, an event would pass them by. */
  readonly after: Promise<unknown>
}): OutboxRelay {
  const { hooks } = options
  const hooksByTopic = new Map(orderEvents.map(event => [`order.${event}`, orderEventHook(event)]))
  return createOutboxRelay({
    database: options.database,
    clock: options.clock,
    ids: options.ids,
    logger: options.logger,
    after: options.after,
    subscribers: topic => {
      const hook = hooksByTopic.get(topic)
      if (hook === undefined) return []
      return hooks.consumers(hook.name).map(consumer => ({
        name: `cloudware:${consumer}`,
        handle: event => hooks.deliver(hook, consumer, { id: event.eventId, data: event.payload }),
      }))
    },
  })
}

interface Job {
  readonly name: string
  readonly everyMs: number
  readonly run: () => Promise<unknown>
}

/** Work that a shop does without being asked. Every instance does it; each step is safe beside the same of another. */
export function shopJobs(options: {
  readonly services: ShopServices
  readonly database: Database
  readonly clock: Clock
  readonly logger: Logger
}): AsyncDisposable {
  const { services, database, clock, logger } = options
  const jobs: readonly Job[] = [
    { name: 'close expired orders', everyMs: 15_000, run: () => services.orders.closeExpired(clock.now()) },
    { name: 'settle open payments', everyMs: 5_000, run: () => services.payments.reconcile(clock.now()) },
    { name: 'drop old carts', everyMs: 3_600_000, run: () => services.carts.purge(clock.now() - 30 * 86_400_000) },
    { name: 'drop old sessions', everyMs: 3_600_000, run: () => services.parties.purge() },
    { name: 'forget old messages', everyMs: 3_600_000, run: () => forgetInbox(database) },
    { name: 'forget old dead events', everyMs: 3_600_000, run: () => forgetDead(database) },
    { name: 'give timed out reservations back', everyMs: 60_000, run: () => expireAll(database) },
    // Some months ahead: when it fails for weeks nobody notices it in the tables.
    { name: 'make partitions', everyMs: 3_600_000, run: () => openLedgerArchive({ database }).addPartitions() },
  ]
  const cancels = new Map<string, () => void>()
  const running = new Set<Promise<void>>()
  let stopped = false
  const schedule = (job: Job): void => {
    cancels.set(
      job.name,
      clock.after(job.everyMs, () => {
        const work = job
          .run()
          .then(
            () => undefined,
            (error: unknown) => logger.warn(`could not ${job.name}, trying again later`, { error }),
          )
          .finally(() => {
            running.delete(work)
            if (!stopped) schedule(job)
          })
        running.add(work)
      }),
    )
  }
  for (const job of jobs) schedule(job)
  return {
    async [Symbol.asyncDispose]() {
      stopped = true
      for (const cancel of cancels.values()) cancel()
      await Promise.all(running)
    },
  }
}

/** Reservations of one sweep, at most; the next one goes on. */
const mostExpired = 10_000

async function expireAll(database: Database): Promise<void> {
  const ledger = openLedger({ database })
  for (let ended = 0; ended < mostExpired; ) {
    const count = await ledger.expire()
    if (count === 0) return
    ended += count
  }
}
