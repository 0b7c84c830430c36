import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import { errorOf, isUnreachable } from './stream-errors.js'
import type { LinkPublish } from './stream-link.js'
import { maxBatchMessages, type PublishOutcome, publishBytes, type WirePublish } from './stream-wire.js'

/** Messages of one client without an acknowledgement; beyond: `core.bus.overloaded`. */
const maxWaiting = 65_536
/** Requests under way at a time, and bytes of one beyond its first message. */
const maxRequests = 16
const batchBytes = 262_144

interface Waiting extends WirePublish {
  readonly order: number
  readonly done: (ack: { stream: string; sequence: number; duplicate: boolean }) => void
  readonly fail: (error: CloudError) => void
}

/** Sends what is published in one turn together; sends again what may be, when the server was away. */
export class PublishQueue {
  readonly #clock: Clock
  readonly #send: (batch: readonly WirePublish[]) => Promise<PublishOutcome[]>
  #waiting: Waiting[] = []
  #unacknowledged = 0
  #requests = 0
  #order = 0
  #scheduled = false
  #pauseMs = 0
  #cancelPause: (() => void) | undefined
  #closed: CloudError | undefined

  constructor(options: {
    readonly clock: Clock
    readonly send: (batch: readonly WirePublish[]) => Promise<PublishOutcome[]>
  }) {
    this.#clock = options.clock
    this.#send = options.send
  }

  add(at: number, message: LinkPublish): Promise<{ stream: string; sequence: number; duplicate: boolean }> {
    return new Promise((resolve, reject) => {
      if (this.#closed !== undefined) throw this.#closed
      if (this.#unacknowledged >= maxWaiting) {
        throw new CloudError('core.bus.overloaded', `${maxWaiting} messages wait for their acknowledgement`)
      }
      this.#unacknowledged += 1
      this.#waiting.push({
        at,
        message,
        order: this.#order++,
        done: ack => {
          this.#unacknowledged -= 1
          resolve(ack)
        },
        fail: error => {
          this.#unacknowledged -= 1
          reject(error)
        },
      })
      this.#soon()
    })
  }

  close(error: CloudError): void {
    this.#closed = error
    this.#cancelPause?.()
    const waiting = this.#waiting
    this.#waiting = []
    for (const { fail } of waiting) fail(error)
  }

  #soon(): void {
    if (this.#scheduled || this.#cancelPause !== undefined || this.#requests >= maxRequests) return
    this.#scheduled = true
    process.nextTick(() => {
      this.#scheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    while (this.#waiting.length > 0 && this.#requests < maxRequests && this.#cancelPause === undefined) {
      let count = 0
      for (let bytes = 0; count < this.#waiting.length && count < maxBatchMessages; count++) {
        bytes += publishBytes((this.#waiting[count] as Waiting).message)
        if (count > 0 && bytes > batchBytes) break
      }
      const batch = this.#waiting.splice(0, count)
      this.#requests += 1
      void this.#request(batch)
    }
  }

  async #request(batch: readonly Waiting[]): Promise<void> {
    try {
      const outcomes = await this.#send(batch)
      this.#pauseMs = 0
      for (const [place, { done, fail }] of batch.entries()) {
        const outcome = outcomes[place]
        if (outcome?.ok === true) {
          const { stream, sequence, duplicate } = outcome
          done({ stream, sequence, duplicate })
        } else fail(errorOf(outcome?.error ?? Buffer.alloc(0)))
      }
    } catch (error) {
      this.#failed(batch, CloudError.from(error))
    }
    this.#requests -= 1
    this.#soon()
  }

  /** What surely was not stored, and what the server will know again, is sent once more until its deadline. */
  #failed(batch: readonly Waiting[], error: CloudError): void {
    const now = this.#clock.now()
    const again: Waiting[] = []
    for (const each of batch) {
      const { messageId, deadline } = each.message
      const safe = error.code === 'core.bus.no-responder' || (isUnreachable(error) && messageId !== '')
      if (safe && deadline > now && this.#closed === undefined) again.push(each)
      else each.fail(error)
    }
    if (again.length === 0) return
    this.#waiting = [...again, ...this.#waiting].sort((a, b) => a.order - b.order)
    this.#pauseMs = Math.min(500, Math.max(20, this.#pauseMs * 2))
    this.#cancelPause?.()
    this.#cancelPause = this.#clock.after(this.#pauseMs, () => {
      this.#cancelPause = undefined
      this.#soon()
    })
  }
}
