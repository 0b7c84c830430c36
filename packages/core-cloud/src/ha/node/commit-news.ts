import type { Clock } from '../../kernel/clock.js'
import type { AppendRequest, NodeId } from '../raft/types.js'

/** News of commits wait this long for entries to go with, milliseconds. */
const holdMs = 5

/** Who has passed on a command within this time waits for news of it. */
const interestMs = 1_000

/**
 * An append without entries only tells what is committed, and the next one with entries tells it, too: under load most
 * of them can be left out, with the answers that they would bring. A member whose own clients wait for what they
 * proposed is told at once. To leave out a message is always right: any may be lost.
 */
export class CommitNews {
  readonly #host: { readonly clock: Clock; wake(): void }
  readonly #send: (message: AppendRequest) => void
  readonly #held = new Map<NodeId, AppendRequest>()
  readonly #interested = new Map<NodeId, number>()
  #cancel: (() => void) | undefined

  constructor(host: { readonly clock: Clock; wake(): void }, send: (message: AppendRequest) => void) {
    this.#host = host
    this.#send = send
  }

  /** A member has passed on commands of its clients. */
  interested(node: NodeId): void {
    this.#interested.set(node, this.#host.clock.monotonic())
  }

  append(message: AppendRequest): void {
    const { to, entries } = message
    const interest = this.#interested.get(to)
    if (entries.length > 0) this.#held.delete(to)
    else if (interest === undefined || this.#host.clock.monotonic() - interest > interestMs) {
      this.#held.set(to, message)
      this.#cancel ??= this.#host.clock.after(holdMs, () => this.#flush())
      return
    }
    this.#send(message)
  }

  stop(): void {
    this.#cancel?.()
    this.#held.clear()
  }

  #flush(): void {
    this.#cancel = undefined
    const held = [...this.#held.values()]
    this.#held.clear()
    for (const message of held) this.#send(message)
    this.#host.wake()
  }
}
