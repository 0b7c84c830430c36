import type { Logger } from '../../kernel/logger.js'
import type { RaftStatus } from '../raft/raft.js'

/** Tells whoever wants to know when role, term or leader of a group have changed. */
export class StatusListeners {
  readonly #logger: Logger
  readonly #handlers = new Set<(status: RaftStatus) => void>()
  #last: RaftStatus

  constructor(logger: Logger, first: RaftStatus) {
    this.#logger = logger
    this.#last = first
  }

  add(handler: (status: RaftStatus) => void): () => void {
    this.#handlers.add(handler)
    return () => void this.#handlers.delete(handler)
  }

  /** @returns whether something has changed since the last time. */
  tell(status: RaftStatus): boolean {
    const { role, term, leader } = this.#last
    this.#last = status
    if (status.role === role && status.term === term && status.leader === leader) return false
    for (const handler of this.#handlers) {
      try {
        handler(status)
      } catch (error) {
        this.#logger.error('a listener to the status of a group failed', { error })
      }
    }
    return true
  }
}
