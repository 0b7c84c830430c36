import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type {
  Bus,
  BusHeaders,
  BusMessage,
  BusSubscription,
  RequestManyOptions,
  RequestOptions,
  SubscribeOptions,
} from '../bus.js'
import { encodeHeaders } from '../headers.js'
import { checkPayload } from '../pending.js'
import { isPattern } from '../subject.js'
import { type BatchLimits, Calls } from './calls.js'
import { Interest } from './interest.js'
import { NatsLink } from './nats-link.js'
import type { NatsConnectOptions } from './nats-options.js'
import { plainHeaders } from './plain.js'
import { publishBytes, publishRecord } from './records.js'
import { type Route, Routes } from './route.js'
import { Serving } from './serving.js'

export type { BatchLimits } from './calls.js'
export type { NatsAuth, NatsConnectOptions, NatsLimits, NatsStreamsOptions, NatsTls } from './nats-options.js'
export { natsStreams } from './nats-streams.js'

export interface NatsBusOptions extends NatsConnectOptions {
  /** False: each call is a message of its own, also when many are made in one tick. */
  readonly batch?: Partial<BatchLimits> | false
  /** Patterns of subjects that are served by plain NATS programs: calls and messages to them go out as bare bodies. */
  readonly plain?: readonly string[]
  /** Milliseconds that a plain client's call may take when it does not say. Default 10_000. */
  readonly plainDeadlineMs?: number
}

/**
 * The bus over NATS core: for programs on many machines. One connection, which comes back by itself.
 *
 * Beyond the port:
 * - `publish` resolves when the server has read the message (it answered a ping behind it). Whoever was subscribed at
 *   that server then gets it, unless its connection breaks first.
 * - `subscribe` resolves when the server has the subscription, and in a cluster when every other server that a program
 *   of this bus is connected to has it too.
 * - Members of a queue are chosen by the server: at random, members at the sender's own server first.
 * - NATS does not say who sent a message: `sender` is undefined. Who calls is for a signed claim to say.
 * - When the connection breaks, requests that were sent fail with `core.bus.disconnected`; new ones wait for the
 *   connection within their deadline. A receiver whose connection breaks answers when it is back. A receiver that is
 *   killed is noticed by nobody: its callers wait until their deadline. One that closes its bus tells them.
 * - When one of several plain subscribers fails a request, the failure counts after 100 ms without another's answer.
 * - A payload larger than the server's `max_payload` (1 MiB unless configured) is refused with
 *   `core.contract.payload-too-large`; set it to 9 MiB for everything the port allows.
 * - The account must allow `_AAAS.>` (cancellation, readiness in a cluster) and the inbox prefix.
 * - In a cluster a server may hand a call on to a member that is just leaving, and that call ends at its deadline: the
 *   servers tell each other late. On one server nothing is lost.
 * - A server that is stopped for a slow consumer: the server drops a connection that does not read for its
 *   `write_deadline`; here handlers and their queue are bounded, so reading never stops.
 *
 * Plain NATS clients may call what is served here: JSON (or whatever the handler reads) as body, headers in text, see
 * `plain`. Their calls are told from ours by their first bytes.
 *
 * @throws CloudError `core.bus.refused` (credentials), `core.bus.disconnected` (no server answered in `connectMs`),
 *   `core.kernel.invalid-config` with the field.
 */
export async function natsBus(options: NatsBusOptions): Promise<Bus> {
  const { plain = [], batch } = options
  for (const [index, pattern] of plain.entries())
    if (!isPattern(pattern)) throw invalid(`plain/${index}`, 'it is not a subject pattern')
  const limits = { maxCalls: 64, maxBytes: 65_536, ...(batch === false ? {} : batch) }
  if (!(limits.maxCalls >= 1 && limits.maxCalls <= 1_024)) throw invalid('batch/maxCalls', 'it is 1 to 1024')
  if (!(limits.maxBytes >= 1 && limits.maxBytes <= 1_048_576)) throw invalid('batch/maxBytes', 'it is 1 to 1048576')
  const logger = options.logger.child({ component: 'bus' })
  const link = await NatsLink.open({ ...options, logger })
  return new NatsBus({ ...options, logger }, link, batch === false ? undefined : limits)
}

function invalid(field: string, reason: string): CloudError {
  return new CloudError('core.kernel.invalid-config', `nats: ${field}: ${reason}`, { field })
}

interface Publishing {
  readonly subject: string
  refused: boolean
}

class NatsBus implements Bus {
  readonly #link: NatsLink
  readonly #clock: Clock
  readonly #routes: Routes
  readonly #calls: Calls
  readonly #serving: Serving
  readonly #interest: Interest
  /** Messages the server has not confirmed yet. */
  readonly #publishing = new Set<Publishing>()
  #closed: CloudError | undefined

  constructor(options: NatsBusOptions, link: NatsLink, batch: BatchLimits | undefined) {
    const { clock, logger, ids } = options
    this.#link = link
    this.#clock = clock
    const routes = new Routes(options.plain ?? [], options.inboxPrefix ?? '_INBOX')
    this.#routes = routes
    this.#calls = new Calls({ link, routes, clock, logger, batch })
    this.#interest = new Interest(link, clock)
    this.#serving = new Serving({
      link,
      routes,
      clock,
      logger,
      worker: 1 + Math.floor(ids.random() * 0xffff_fffe),
      batch: batch !== undefined,
      plainDeadlineMs: options.plainDeadlineMs ?? 10_000,
      known: () => this.#interest.known(),
    })
    link.own({
      up: () => {
        this.#interest.up()
        this.#calls.up()
      },
      down: () => this.#calls.down(),
      refused: subject => {
        this.#calls.refused(subject)
        for (const one of this.#publishing) if (one.subject === subject) one.refused = true
      },
    })
  }

  async publish(subject: string, payload: Uint8Array, options?: { readonly headers?: BusHeaders }): Promise<void> {
    this.#alive()
    checkPayload(payload)
    const route = this.#routes.of(subject)
    const block = encodeHeaders(options?.headers)
    const bytes = publishBytes + block.length + payload.length
    // The caller may change its bytes as soon as we let go of the thread.
    const record = route.plain ? Buffer.from(payload) : publishRecord(block, payload)
    if (!this.#link.ready) await this.#link.whenReady()
    this.#alive()
    if (bytes > this.#link.maxPayload)
      throw new CloudError(
        'core.contract.payload-too-large',
        `a message of ${bytes} bytes with its headers; the NATS server takes at most ${this.#link.maxPayload} (its max_payload)`,
      )
    if (this.#link.congested || this.#publishing.size >= this.#link.limits.maxPending)
      throw new CloudError('core.bus.overloaded', `too much waits for the server; ${subject} was not sent`)
    await this.#confirm(route, record, options?.headers)
  }

  async #confirm(route: Route, record: Buffer, headers: BusHeaders | undefined): Promise<void> {
    const { subject } = route
    // Calls made before in this tick keep their place.
    if (route.ids.length > 0) this.#calls.flush()
    this.#link.publish(subject, record, undefined, route.plain ? plainHeaders(headers) : undefined)
    const publishing: Publishing = { subject, refused: false }
    this.#publishing.add(publishing)
    try {
      await this.#link.settled()
    } catch (error) {
      throw this.#closed ?? error
    } finally {
      this.#publishing.delete(publishing)
    }
    if (publishing.refused)
      throw new CloudError('core.bus.refused', `the NATS server does not allow to send to ${subject}`, {
        field: 'subject',
      })
  }

  subscribe(
    subject: string,
    handler: (message: BusMessage) => void | Promise<void>,
    options: SubscribeOptions = {},
  ): Promise<BusSubscription> {
    return this.#serving.subscribe(subject, handler, options)
  }

  request(subject: string, payload: Uint8Array, options: RequestOptions): Promise<BusMessage> {
    return this.#calls.request(subject, payload, options)
  }

  requestMany(subject: string, payload: Uint8Array, options: RequestManyOptions): AsyncIterable<BusMessage> {
    return this.#calls.requestMany(subject, payload, options)
  }

  async drain(): Promise<void> {
    this.#alive()
    await this.#serving.drain()
    this.#calls.flush()
    if (this.#link.ready) await this.#link.settled()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed !== undefined) return
    this.#closed = new CloudError('core.kernel.stopped', 'the bus is closed')
    this.#calls.close(this.#closed)
    this.#serving.close(this.#closed)
    await this.#link.close()
  }

  #alive(): void {
    if (this.#closed !== undefined) throw this.#closed
  }
}
