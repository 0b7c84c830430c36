import { type Clock, type Logger, sleep } from '@aaas/core-cloud/kernel'
import type { RunningPostgres } from '@aaas/support-cloud/rdbms'

const leastPauseMs = 100
const mostPauseMs = 10_000

/**
 * Keeps a database server running: one that ends by itself is started again, with growing pauses while that fails.
 * It comes back at the same place with the same password, so programs that hold its address only connect again.
 */
export class PostgresKeeper implements AsyncDisposable {
  readonly #stop = new AbortController()
  #current: RunningPostgres
  #watching: Promise<void>

  private constructor(
    readonly deps: { readonly start: () => Promise<RunningPostgres>; readonly clock: Clock; readonly logger: Logger },
    first: RunningPostgres,
  ) {
    this.#current = first
    this.#watching = this.#watch()
  }

  /** @param deps.start - starts the server; called again each time it ended. */
  static async open(deps: PostgresKeeper['deps']): Promise<PostgresKeeper> {
    return new PostgresKeeper(deps, await deps.start())
  }

  get current(): RunningPostgres {
    return this.#current
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('stopped'))
    await this.#watching
    await this.#current[Symbol.asyncDispose]()
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stop
    const stopped = new Promise<void>(resolve => signal.addEventListener('abort', () => resolve(), { once: true }))
    for (;;) {
      await Promise.race([this.#current.ended, stopped])
      if (signal.aborted) return
      this.deps.logger.warn('PostgreSQL ended, starting it again')
      await this.#restart(signal)
    }
  }

  async #restart(signal: AbortSignal): Promise<void> {
    const { start, clock, logger } = this.deps
    // A guard that outlived its server, or the other way round, goes first.
    await Promise.resolve(this.#current[Symbol.asyncDispose]()).catch(() => undefined)
    for (let pause = leastPauseMs; !signal.aborted; pause = Math.min(mostPauseMs, pause * 2)) {
      try {
        this.#current = await start()
        logger.info('PostgreSQL runs again')
        return
      } catch (error) {
        logger.error('PostgreSQL cannot start', { error, pauseMs: pause })
        await sleep(clock, pause, signal).catch(() => undefined)
      }
    }
  }
}
