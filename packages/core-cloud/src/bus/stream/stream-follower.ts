import { type Clock, sleep } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Logger } from '../../kernel/logger.js'
import type { StreamSubscription } from '../stream.js'
import type { MessageRecord } from '../stream-log/record.js'
import type { StreamLink } from './stream-link.js'

export interface FollowerOptions {
  readonly link: StreamLink
  readonly stream: string
  readonly from: number
  readonly filter: readonly string[] | undefined
  readonly handler: (record: MessageRecord) => void | Promise<void>
  readonly clock: Clock
  readonly logger: Logger
  readonly onEnd: (follower: Follower) => void
}

const pageSize = 256
const waitMs = 2_000
/** Milliseconds before a message whose handler failed is given to it again. */
const againMs = 1_000

/** Reads a stream page by page; the place is kept here, so nothing that happens to the server matters. */
export class Follower implements StreamSubscription {
  readonly #options: FollowerOptions
  readonly #abort = new AbortController()
  readonly #done: Promise<void>

  constructor(options: FollowerOptions) {
    this.#options = options
    this.#done = this.#follow()
  }

  drain(): Promise<void> {
    this.#abort.abort()
    return this.#done
  }

  async #follow(): Promise<void> {
    const { link, stream, filter, clock, logger, onEnd } = this.#options
    const { signal } = this.#abort
    let { from } = this.#options
    let pause = 20
    while (!signal.aborted) {
      try {
        const request = { from, limit: pageSize, waitMs, ...(filter === undefined ? {} : { filter }) }
        const { records, next } = await link.read(stream, request, signal)
        pause = 20
        for (const record of records) {
          if (signal.aborted) break
          if (await this.#handle(record)) from = record.sequence + 1
        }
        if (!signal.aborted) from = next
      } catch (error) {
        if (signal.aborted || CloudError.is(error, 'core.kernel.stopped')) break
        logger.debug('a follower could not read', { stream, error })
        await sleep(clock, pause, signal).catch(() => undefined)
        pause = Math.min(pause * 2, 1_000)
      }
    }
    onEnd(this)
  }

  /** @returns false when it was stopped before the handler resolved. */
  async #handle(record: MessageRecord): Promise<boolean> {
    const { handler, stream, clock, logger } = this.#options
    while (!this.#abort.signal.aborted) {
      try {
        await handler(record)
        return true
      } catch (error) {
        logger.warn('the handler of a follower failed', { stream, sequence: record.sequence, error })
        await sleep(clock, againMs, this.#abort.signal).catch(() => undefined)
      }
    }
    return false
  }
}
