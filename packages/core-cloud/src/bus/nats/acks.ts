import type { Msg, MsgHdrs } from '@nats-io/transport-node'
import type { Clock } from '../../kernel/clock.js'
import { type Deadline, Deadlines } from '../../kernel/deadlines.js'
import { CloudError } from '../../kernel/errors.js'
import { IdTable } from '../id-table.js'
import { lost, type NatsLink } from './nats-link.js'

/** Something that waits for a server's answer. One of the functions is called, once. */
export interface Waiting {
  readonly done: (answer: Msg) => void
  /** The connection broke: whether the server has it is unknown. */
  readonly broken: () => void
  /** No answer in time. */
  readonly late: () => void
}

interface Entry {
  readonly waiting: Waiting
  readonly timer: Deadline
}

/** Questions to the servers and acknowledgements of theirs: one inbox, ids in a table, one timer for all. */
export class Acks {
  readonly #link: NatsLink
  readonly #deadlines: Deadlines
  readonly #entries = new IdTable<Entry>()

  constructor(link: NatsLink, clock: Clock) {
    this.#link = link
    this.#deadlines = new Deadlines(clock)
    link.subscribe(`${link.inbox}.*`, message => this.#take(message))
  }

  /**
   * Sends; only while the connection is ready. The bytes must not change any more.
   * @returns an id for {@link Acks.forget}.
   * @throws CloudError `core.bus.overloaded` when too much waits, `core.contract.payload-too-large`.
   */
  send(subject: string, bytes: Uint8Array, headers: MsgHdrs | undefined, waitMs: number, waiting: Waiting): number {
    const most = this.#link.limits.maxPending
    const full = this.#entries.size >= most || this.#link.congested
    const entry: Entry = { waiting, timer: this.#deadlines.add(waitMs, () => this.forget(id)?.late()) }
    const id: number = full ? 0 : this.#entries.add(entry)
    if (id === 0) {
      this.#deadlines.remove(entry.timer)
      throw new CloudError('core.bus.overloaded', `at most ${most} messages may wait for their acknowledgement`)
    }
    try {
      this.#link.publish(subject, bytes, `${this.#link.inbox}.${id.toString(36)}`, headers)
    } catch (error) {
      this.forget(id)
      throw error
    }
    return id
  }

  /** The answer is not wanted any more. */
  forget(id: number): Waiting | undefined {
    const entry = this.#entries.release(id)
    if (entry === undefined) return undefined
    this.#deadlines.remove(entry.timer)
    return entry.waiting
  }

  down(): void {
    for (const [id] of this.#entries.entries()) this.forget(id)?.broken()
  }

  close(): void {
    this.down()
    this.#deadlines.clear()
  }

  /** @throws CloudError `core.bus.disconnected` when nothing came in time. */
  ask(subject: string, bytes: Uint8Array, waitMs: number, headers?: MsgHdrs): Promise<Msg> {
    return new Promise((resolve, reject) => {
      const fail = (): void => reject(lost())
      this.send(subject, bytes, headers, waitMs, { done: resolve, broken: fail, late: fail })
    })
  }

  #take(message: Msg): void {
    const { subject } = message
    this.forget(Number.parseInt(subject.slice(this.#link.inbox.length + 1), 36))?.done(message)
  }
}
