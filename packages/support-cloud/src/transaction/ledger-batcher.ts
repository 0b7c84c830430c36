import { type CallOptions, type Clock, CloudError } from '@aaas/core-cloud/kernel'
import type { Database } from '../rdbms/database.js'
import type { LedgerResult, LedgerTransfer } from './ledger.js'
import { ledgerError, resultsOf, runTransfers } from './ledger-run.js'
import { checkInput } from './pg-ledger.js'

export interface LedgerBatcherOptions {
  readonly database: Database
  readonly clock: Clock
  /** Calls of the database at once, 1 to 16, default 2; each takes a connection of the pool while it runs. */
  readonly lanes?: number
  /** Transfers a call takes at most, 1 to 1000, default 1000. */
  readonly maxBatch?: number
  /** Transfers that may wait, default 10_000; more are refused. */
  readonly maxQueue?: number
  /** See `LedgerOptions`. */
  readonly within?: string
}

/** Many callers, few calls of the database. */
export interface LedgerBatcher extends AsyncDisposable {
  /**
   * As `Ledger.submit`, with the same results; transfers of one call go in one batch, in their order. Calls that wait at
   * the same time share a batch and know nothing of each other.
   * @throws CloudError as `Ledger.submit`, and `support.transaction.overloaded` (retryable) when the queue is full,
   *   `core.contract.deadline-exceeded`; the signal's reason. After the last two a call that was under way may still be
   *   applied: the same call tells.
   */
  submit(transfers: readonly LedgerTransfer[], options?: CallOptions): Promise<readonly LedgerResult[]>
  /** Transfers that wait. */
  readonly waiting: number
}

interface Call {
  readonly transfers: readonly LedgerTransfer[]
  /** The transfers as JSON, comma-separated. */
  readonly items: string
  readonly settle: (results: readonly LedgerResult[]) => void
  readonly fail: (error: unknown) => void
  /** Set when its caller has gone. */
  over: boolean
}

/**
 * Batches without a timer: a lane that is free takes what waits. A single caller never waits for company, and the more
 * callers wait, the more share a commit. Disposing takes no more calls and waits for those that it has.
 */
export function createLedgerBatcher(options: LedgerBatcherOptions): LedgerBatcher {
  return new MicroBatcher(options)
}

class MicroBatcher implements LedgerBatcher {
  readonly #options: LedgerBatcherOptions
  readonly #lanes: number
  readonly #maxBatch: number
  readonly #maxQueue: number
  #queue: Call[] = []
  /** Index of the first call that waits: removing at the front of an array costs its length. */
  #head = 0
  #waiting = 0
  #busy = 0
  #closed = false
  #scheduled = false
  #idle: (() => void) | undefined

  constructor(options: LedgerBatcherOptions) {
    this.#options = options
    this.#lanes = within('lanes', options.lanes ?? 2, 16)
    this.#maxBatch = within('maxBatch', options.maxBatch ?? 1000, 1000)
    this.#maxQueue = within('maxQueue', options.maxQueue ?? 10_000, 10_000_000)
  }

  get waiting(): number {
    return this.#waiting
  }

  async submit(transfers: readonly LedgerTransfer[], options: CallOptions = {}): Promise<readonly LedgerResult[]> {
    options.signal?.throwIfAborted()
    checkInput(transfers, this.#options.within)
    if (this.#closed) throw new CloudError('support.transaction.overloaded', 'the ledger is being closed')
    if (this.#waiting + transfers.length > this.#maxQueue) {
      throw new CloudError('support.transaction.overloaded', `${this.#waiting} transfers wait already`)
    }
    return new Promise((resolve, reject) => {
      const items = JSON.stringify(transfers).slice(1, -1)
      const call: Call = { transfers, items, settle: resolve, fail: reject, over: false }
      const watched = options.signal !== undefined || options.deadline !== undefined
      this.#enter(watched ? this.#watch(call, options) : call)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    if (this.#busy === 0 && this.#waiting === 0) return
    await new Promise<void>(resolve => {
      this.#idle = resolve
    })
  }

  /** Ends a call for its caller when the signal or the deadline says so. */
  #watch(call: Call, { signal, deadline }: CallOptions): Call {
    const { clock } = this.#options
    const leave = (error: unknown): void => {
      if (watched.over) return
      end()
      if (this.#queue.indexOf(watched, this.#head) >= 0) this.#waiting -= watched.transfers.length
      call.fail(error)
    }
    const onAbort = (): void => leave(signal?.reason)
    const late = (): void =>
      leave(new CloudError('core.contract.deadline-exceeded', 'the ledger did not answer in time'))
    const cancel = deadline === undefined ? undefined : clock.after(Math.max(0, deadline - clock.now()), late)
    const end = (): void => {
      watched.over = true
      cancel?.()
      signal?.removeEventListener('abort', onAbort)
    }
    const watched: Call = {
      ...call,
      settle: results => {
        if (watched.over) return
        end()
        call.settle(results)
      },
      fail: leave,
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    return watched
  }

  #enter(call: Call): void {
    this.#queue.push(call)
    this.#waiting += call.transfers.length
    if (this.#scheduled || this.#busy >= this.#lanes) return
    // Callers of the same turn share the first batch; nobody waits longer than for the end of that turn.
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#pump()
    })
  }

  #pump(): void {
    while (this.#busy < this.#lanes) {
      const batch = this.#take()
      if (batch.length === 0) break
      this.#busy += 1
      void this.#run(batch).finally(() => {
        this.#busy -= 1
        this.#pump()
      })
    }
    if (this.#busy === 0 && this.#waiting === 0) this.#idle?.()
  }

  #take(): Call[] {
    const batch: Call[] = []
    let size = 0
    for (; this.#head < this.#queue.length; this.#head++) {
      const call = this.#queue[this.#head] as Call
      if (call.over) continue
      if (size > 0 && size + call.transfers.length > this.#maxBatch) break
      size += call.transfers.length
      batch.push(call)
    }
    this.#waiting -= size
    if (this.#head > 1000 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    } else if (this.#head === this.#queue.length) {
      this.#queue = []
      this.#head = 0
    }
    return batch
  }

  async #run(batch: readonly Call[]): Promise<void> {
    const { database, clock, within } = this.#options
    try {
      const items = `[${batch.map(call => call.items).join(',')}]`
      const transfers = batch.flatMap(call => call.transfers)
      const results = resultsOf(transfers, await runTransfers(database, items, { clock, within }))
      let from = 0
      for (const call of batch) {
        const to = from + call.transfers.length
        call.settle(results.slice(from, to))
        from = to
      }
    } catch (error) {
      // What the database holds against the whole call is looked for call by call: only who causes it has it.
      if (batch.length > 1 && !CloudError.is(error)) {
        for (const call of batch) await this.#run([call])
      } else {
        for (const call of batch) call.fail(ledgerError(error))
      }
    }
  }
}

function within(field: string, value: number, most: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= most) return value
  throw new CloudError('core.kernel.invalid-config', `${field}: an integer from 1 to ${most}`, { field })
}
