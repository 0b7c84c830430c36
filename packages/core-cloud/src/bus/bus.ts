/** Headers of a message: lower-case names, single-line values; names starting with `aaas-` are set by the bus itself. */
export type BusHeaders = Readonly<Record<string, string>>

/** A message as a subscriber sees it. The payload belongs to the subscriber. */
export interface BusMessage {
  readonly subject: string
  readonly payload: Uint8Array
  readonly headers: BusHeaders
  /**
   * Identity the hub stamped on the sender's connection (site or service name); never taken from the sender's word.
   * Undefined for messages sent inside one process.
   */
  readonly sender?: string
  /** Present when the sender waits for an answer. At most one answer counts. */
  readonly respond?: (payload: Uint8Array, options?: { readonly headers?: BusHeaders }) => Promise<void>
  /** Absolute epoch milliseconds until which the sender waits; present together with `respond`. */
  readonly deadline?: number
  /**
   * Present together with `respond`: aborts with a CloudError when the answer is no longer wanted, because the caller
   * cancelled, its deadline passed or its connection is gone. Made on first use, so reading it costs something.
   */
  readonly signal?: AbortSignal
}

export interface BusSubscription {
  readonly subject: string
  /** Stops receiving and resolves when every running handler has finished. */
  drain(): Promise<void>
}

export interface SubscribeOptions {
  /** Name in the form of a subject. */
  readonly queue?: string
  /** Handlers that run at a time; default 256. */
  readonly maxInFlight?: number
  /** Messages that wait beyond those; default 4_096. */
  readonly maxQueued?: number
}

export interface RequestOptions {
  /** Absolute epoch milliseconds. Required: every call has a deadline. At most 24 hours ahead; later ones are cut. */
  readonly deadline: number
  readonly signal?: AbortSignal
  readonly headers?: BusHeaders
}

export interface RequestManyOptions extends RequestOptions {
  /** Default 1_024. */
  readonly max?: number
  /** Default: none, the deadline alone ends it. */
  readonly quietMs?: number
}

/**
 * Channels between components. Subjects are tokens of `A-Z a-z 0-9 _ -` joined by dots, at most 255 characters;
 * subscriptions may use `*` for one token and a final `>` for one or more.
 * Payloads are at most 8 MiB (beyond: `core.contract.payload-too-large`), headers at most 32 of together 16 KiB.
 * Delivery of `publish` is at most once; use the outbox for what must arrive.
 */
export interface Bus extends AsyncDisposable {
  /**
   * Resolves when the message was handed to the hub (or to local subscribers).
   * @throws CloudError `core.bus.refused`, `core.bus.overloaded`, `core.bus.disconnected`, `core.bus.invalid-subject`.
   */
  publish(subject: string, payload: Uint8Array, options?: { readonly headers?: BusHeaders }): Promise<void>
  /**
   * Resolves when the hub has acknowledged the subscription: from then on no message is missed.
   * Members of one `queue` share the messages; each message goes to one of them.
   * At most `maxInFlight` handlers run at a time (default 256); further messages wait in a bounded queue
   * (default 4_096), and a request beyond it is answered `core.bus.overloaded`; a published message beyond it is lost.
   * A handler that throws is logged; a request it was serving fails with `core.kernel.internal`.
   */
  subscribe(
    subject: string,
    handler: (message: BusMessage) => void | Promise<void>,
    options?: SubscribeOptions,
  ): Promise<BusSubscription>
  /**
   * Sends to every plain subscriber and one member of each queue, and waits for the first answer.
   * @throws CloudError `core.bus.no-responder` at once when nobody listens, `core.contract.deadline-exceeded`,
   *   `core.contract.cancelled`, `core.bus.disconnected` (the outcome is unknown), `core.bus.refused`.
   */
  request(subject: string, payload: Uint8Array, options: RequestOptions): Promise<BusMessage>
  /**
   * Sends as `request` does and gives every answer, as they come: until `max` of them, until `quietMs` passed without
   * one, or until every receiver answered or is gone (where the driver can know), or until the deadline, which is no
   * error here. Nobody listening: no answers. Sent at once, not when reading begins; the answers can be read once. Each
   * receiver may answer once. At most 1_024 answers wait to be read; further ones are lost. Leaving the loop cancels.
   * @throws CloudError `core.contract.cancelled`, `core.bus.disconnected`, `core.bus.refused`, `core.bus.overloaded`.
   */
  requestMany(subject: string, payload: Uint8Array, options: RequestManyOptions): AsyncIterable<BusMessage>
  /** Stops receiving, waits for running handlers, flushes what was published. The bus stays open for publishing. */
  drain(): Promise<void>
}
