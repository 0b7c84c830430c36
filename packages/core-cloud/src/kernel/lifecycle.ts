import { type Clock, sleep } from './clock.js'
import { CloudError } from './errors.js'

interface Part {
  readonly name: string
  /** Stops taking work and waits for what is in flight. */
  readonly drain?: (signal: AbortSignal) => Promise<void>
  /** Releases what was opened. */
  readonly dispose?: () => Promise<void>
}

/**
 * Remembers what was started and stops it in reverse order: first every `drain`, then every `dispose`.
 * Both phases share one deadline; what is late is abandoned and named in the error.
 */
export class Lifecycle implements AsyncDisposable {
  readonly #parts: Part[] = []
  readonly #clock: Clock
  readonly #deadlineMs: number
  #stopping: Promise<void> | undefined

  /** @param options.deadlineMs - milliseconds for the whole stop, default 10_000. */
  constructor(options: { readonly clock: Clock; readonly deadlineMs?: number }) {
    this.#clock = options.clock
    this.#deadlineMs = options.deadlineMs ?? 10_000
  }

  get stopping(): boolean {
    return this.#stopping !== undefined
  }

  /** Registers a part that was just started. @throws CloudError `core.kernel.stopped` once the stop began. */
  add(part: Part): void {
    if (this.#stopping)
      throw new CloudError('core.kernel.stopped', `cannot start ${part.name}: the lifecycle is stopping`)
    this.#parts.push(part)
  }

  /** Registers something disposable and returns it. */
  use<T extends AsyncDisposable>(name: string, value: T): T {
    this.add({ name, dispose: () => Promise.resolve(value[Symbol.asyncDispose]()) })
    return value
  }

  /** Stops everything once; later calls wait for the same stop. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #stop(): Promise<void> {
    const abort = new AbortController()
    const failures: unknown[] = []
    const cancelTimer = this.#clock.after(this.#deadlineMs, () => abort.abort(new Error('stop deadline')))
    const late = sleep(this.#clock, this.#deadlineMs, abort.signal).catch(() => undefined)
    const reversed = this.#parts.toReversed()
    for (const phase of ['drain', 'dispose'] as const) {
      for (const part of reversed) {
        const run = phase === 'drain' ? part.drain?.(abort.signal) : part.dispose?.()
        if (!run) continue
        const outcome = await Promise.race([
          run.then(
            () => undefined,
            (error: unknown) => error ?? new Error('failed'),
          ),
          late.then(() => new Error(`${part.name} did not ${phase} within ${this.#deadlineMs} ms`)),
        ])
        if (outcome !== undefined) failures.push(outcome)
      }
    }
    cancelTimer()
    abort.abort()
    if (failures.length > 0) throw new AggregateError(failures, `stop: ${failures.map(String).join('; ')}`)
  }
}
