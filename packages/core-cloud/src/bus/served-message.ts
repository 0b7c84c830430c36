import { setMaxListeners } from 'node:events'
import type { ErrorCode } from '../kernel/error-codes.js'
import { CloudError } from '../kernel/errors.js'
import type { BusHeaders, BusMessage } from './bus.js'
import { decodeHeaders, type HeaderBlock } from './headers.js'

/** A message without an answer, or the answer of a request. Headers are read when somebody asks for them. */
export class PlainMessage implements BusMessage {
  readonly sender?: string
  readonly #block: HeaderBlock
  #headers: BusHeaders | undefined

  constructor(
    readonly subject: string,
    readonly payload: Uint8Array,
    block: HeaderBlock,
    sender: string,
  ) {
    this.#block = block
    if (sender !== '') this.sender = sender
  }

  get headers(): BusHeaders {
    this.#headers ??= decodeHeaders(this.#block)
    return this.#headers
  }
}

type Respond = NonNullable<BusMessage['respond']>

/** A message whose sender waits for an answer. */
export class RequestMessage extends PlainMessage {
  readonly respond: Respond
  #controller: AbortController | undefined
  #abandoned: CloudError | undefined

  constructor(
    subject: string,
    payload: Uint8Array,
    block: HeaderBlock,
    sender: string,
    readonly delivery: number,
    readonly deadline: number,
    answer: (message: RequestMessage, payload: Uint8Array, headers: BusHeaders | undefined) => Promise<void>,
  ) {
    super(subject, payload, block, sender)
    this.respond = (payload, options) => answer(this, payload, options?.headers)
  }

  get abandoned(): boolean {
    return this.#abandoned !== undefined
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      // Every nested call of a handler listens; the runtime would warn about the eleventh.
      setMaxListeners(0, this.#controller.signal)
      if (this.#abandoned !== undefined) this.#controller.abort(this.#abandoned)
    }
    return this.#controller.signal
  }

  /** The answer is not wanted any more. */
  abandon(code: ErrorCode): void {
    this.#abandoned ??= new CloudError(code, `the caller of ${this.subject} does not wait any more`)
    this.#controller?.abort(this.#abandoned)
  }
}
