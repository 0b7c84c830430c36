import { setMaxListeners } from 'node:events'
import type { Deadline, Deadlines } from '../../kernel/deadlines.js'
import type { CloudError } from '../../kernel/errors.js'
import type { BusMessage, RequestOptions } from '../bus.js'
import type { HeaderBlock } from '../headers.js'
import { cancelled, late } from '../pending.js'

/** A request on its way to one peer. */
export class DirectCall {
  /** Of the connection it was written to; 0 before. */
  id = 0
  #timer: Deadline | undefined
  #onAbort: (() => void) | undefined

  /** @param payload - a copy: it may have to be sent another way after the caller has its bytes back. */
  constructor(
    readonly subject: string,
    readonly payload: Uint8Array,
    readonly headers: HeaderBlock,
    readonly options: RequestOptions,
    readonly resolve: (answer: BusMessage | Promise<BusMessage>) => void,
    readonly reject: (error: CloudError) => void,
    readonly deadlines: Deadlines,
  ) {}

  /** Ends it at its deadline in `wait` milliseconds, or when its caller gives up. */
  watch(target: DirectTarget, wait: number): void {
    this.#timer = this.deadlines.add(wait, () => target.abandon(this, late(this.subject)))
    const { signal } = this.options
    if (signal === undefined) return
    this.#onAbort = () => target.abandon(this, cancelled(this.subject, signal))
    setMaxListeners(0, signal)
    signal.addEventListener('abort', this.#onAbort)
  }

  /** Forgets timer and signal. */
  release(): void {
    if (this.#timer !== undefined) this.deadlines.remove(this.#timer)
    this.#timer = undefined
    if (this.#onAbort !== undefined) this.options.signal?.removeEventListener('abort', this.#onAbort)
  }
}

/** Somebody a call can be given to. */
export interface DirectTarget {
  /** Calls of this process under way there. */
  readonly inFlight: number
  /** True: it cannot be reached now. */
  readonly blocked: boolean
  /** @throws CloudError `core.bus.overloaded`; then the call is the caller's again. */
  send(call: DirectCall): void
  /** Gives a call up. */
  abandon(call: DirectCall, error: CloudError): void
}
