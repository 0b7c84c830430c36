import { setMaxListeners } from 'node:events'
import type { Msg, MsgHdrs } from '@nats-io/transport-node'
import { CloudError } from '../../kernel/errors.js'
import type { BusHeaders } from '../bus.js'
import type { Delivery } from '../stream.js'
import { type DeliveryFacts, senderHeaders } from './text-headers.js'

/** What a delivery tells its member. */
export interface Settling {
  ack(delivery: NatsDelivery): void
  nak(delivery: NatsDelivery, delayMs: number | undefined): void
  term(delivery: NatsDelivery, reason: string): void
  inProgress(delivery: NatsDelivery): void
}

/** A message in a member's hands. Headers are read when somebody asks for them. */
export class NatsDelivery implements Delivery {
  readonly sequence: number
  readonly subject: string
  readonly payload: Uint8Array
  readonly attempt: number
  readonly storedAt: number
  declare readonly messageId?: string
  /** The consumer that a replayed dead letter is for. */
  readonly replayFor: string | undefined
  /** Where it is settled. */
  readonly reply: string
  settled = false
  /** Its time is over: another may have it. */
  expired = false
  readonly #message: Msg
  readonly #settling: Settling
  #headers: BusHeaders | undefined
  #controller: AbortController | undefined

  constructor(
    readonly stream: string,
    message: Msg,
    facts: DeliveryFacts,
    /** Monotonic milliseconds when it came, or when the server was last told that it is worked on. */
    public heldSince: number,
    settling: Settling,
  ) {
    this.#message = message
    this.#settling = settling
    this.sequence = facts.sequence
    this.attempt = facts.attempt
    this.storedAt = facts.storedAt
    this.subject = message.subject
    this.payload = message.data
    this.reply = message.reply ?? ''
    const { headers } = message
    this.replayFor = headers?.get('Aaas-Replay-For') || undefined
    const messageId = messageIdOf(headers)
    if (messageId !== undefined) this.messageId = messageId
  }

  get headers(): BusHeaders {
    this.#headers ??= senderHeaders(this.#message.headers)
    return this.#headers
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      // Every nested call of a handler listens; the runtime would warn about the eleventh.
      setMaxListeners(0, this.#controller.signal)
      if (this.expired) this.expire()
    }
    return this.#controller.signal
  }

  ack(): void {
    this.#settling.ack(this)
  }

  nak(options?: { readonly delayMs?: number }): void {
    this.#settling.nak(this, options?.delayMs)
  }

  term(reason: string): void {
    this.#settling.term(this, reason)
  }

  inProgress(): void {
    this.#settling.inProgress(this)
  }

  expire(error = new CloudError('core.contract.deadline-exceeded', `the time for ${this.subject} is over`)): void {
    this.expired = true
    this.#controller?.abort(error)
  }
}

/** The id that the publisher gave. */
export function messageIdOf(headers: MsgHdrs | undefined): string | undefined {
  if (headers === undefined) return undefined
  const id = headers.get('Aaas-Msg-Id') || headers.get('Nats-Msg-Id')
  return id === '' || id.startsWith(replayId('')) ? undefined : id
}

/** Message id of a dead letter that is put back: a repeat of the same one is known. */
export const replayId = (sequence: number | ''): string => `aaas-replay ${sequence}`
