import type { Clock } from '../../kernel/clock.js'
import type { Deadline, Deadlines } from '../../kernel/deadlines.js'
import type { HeaderBlock } from '../headers.js'
import { RequestMessage } from '../served-message.js'

/** A call that came over NATS. */
export class NatsRequest extends RequestMessage {
  /** In the table of what is being served; 0 when it is over. */
  slot = 0
  readonly #deadlines: Deadlines
  readonly #clock: Clock
  #timer: Deadline | undefined

  constructor(
    served: { readonly deadlines: Deadlines; readonly clock: Clock },
    subject: string,
    payload: Uint8Array,
    headers: HeaderBlock,
    /** The caller's number for it; 0 of a plain client. */
    readonly id: number,
    deadline: number,
    readonly replyTo: string,
    /** Nobody else can answer it. */
    readonly final: boolean,
    answer: ConstructorParameters<typeof RequestMessage>[6],
  ) {
    super(subject, payload, headers, '', id, deadline, answer)
    this.#deadlines = served.deadlines
    this.#clock = served.clock
  }

  override get abandoned(): boolean {
    return super.abandoned || this.#clock.now() >= this.deadline
  }

  override get signal(): AbortSignal {
    if (this.#timer === undefined && this.slot !== 0) {
      const left = this.deadline - this.#clock.now()
      if (left <= 0) this.abandon('core.contract.deadline-exceeded')
      else this.#timer = this.#deadlines.add(left, () => this.abandon('core.contract.deadline-exceeded'))
    }
    return super.signal
  }

  /** It is answered, or not wanted any more. */
  over(): void {
    this.slot = 0
    if (this.#timer !== undefined) this.#deadlines.remove(this.#timer)
  }
}
