import { type Clock, sleep } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Acks } from './acks.js'
import { lost, type NatsLink } from './nats-link.js'

/** An error as JetStream says it. */
export interface JetError {
  readonly code: number
  readonly err_code?: number
  readonly description?: string
}

/** Milliseconds that a question to the servers may take, all attempts together. */
export const patienceMs = 10_000
/** Milliseconds of one attempt: a server that was just killed answers nothing. */
const attemptMs = 2_500

/** Errors of JetStream by number, as nats-server lists them in `errors.json`. */
export const JetCode = {
  noMessage: 10037,
  consumerNotFound: 10014,
  consumerExists: 10013,
  streamNotFound: 10059,
  streamNameInUse: 10058,
} as const

const codes: Readonly<Record<number, CloudError['code']>> = {
  10002: 'core.bus.stream-full',
  10005: 'core.bus.unsupported',
  10023: 'core.bus.stream-full',
  10028: 'core.bus.stream-full',
  10039: 'core.bus.unsupported',
  10047: 'core.bus.stream-full',
  10052: 'core.kernel.invalid-config',
  10054: 'core.contract.payload-too-large',
  10058: 'core.bus.conflict',
  10059: 'core.bus.unknown-stream',
  10014: 'core.bus.unknown-stream',
  10065: 'core.bus.conflict',
  10070: 'core.bus.conflict',
  10071: 'core.bus.conflict',
  10164: 'core.bus.conflict',
  10074: 'core.bus.unsupported',
  10076: 'core.bus.unsupported',
  10077: 'core.bus.stream-full',
}

/** @param about - what was asked, for the message. */
export function jetError(error: JetError, about: string): CloudError {
  const number = error.err_code ?? 0
  const text = `${about}: ${error.description ?? 'the server refused'} (${number})`
  const code = codes[number]
  if (code !== undefined) return new CloudError(code, text, { details: { server: number } })
  // Not now: the cluster has no leader at the moment.
  if (error.code === 503) return new CloudError('core.bus.disconnected', text, { details: { server: number } })
  return new CloudError('core.kernel.internal', text, { details: { server: number } })
}

/** Asks the servers' JetStream API: JSON there and back. */
export class JetApi {
  readonly #link: NatsLink
  readonly #acks: Acks
  readonly #clock: Clock
  readonly #prefix: string
  #closed: CloudError | undefined

  constructor(options: {
    readonly link: NatsLink
    readonly acks: Acks
    readonly clock: Clock
    readonly prefix: string
  }) {
    this.#link = options.link
    this.#acks = options.acks
    this.#clock = options.clock
    this.#prefix = options.prefix
  }

  close(error: CloudError): void {
    this.#closed = error
  }

  /** The full subject of a question. */
  subject(operation: string): string {
    return `${this.#prefix}.${operation}`
  }

  /**
   * @returns what the server answered, or the error that `expected` has the number of.
   * @throws CloudError as the port says; `core.bus.disconnected` after ten seconds without an answer.
   */
  async ask<T>(operation: string, body?: object, expected: readonly number[] = []): Promise<T | JetError> {
    const bytes = body === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(body))
    const end = this.#clock.monotonic() + patienceMs
    let problem: unknown
    for (;;) {
      if (this.#closed !== undefined) throw this.#closed
      const left = end - this.#clock.monotonic()
      if (left <= 0) throw problem instanceof CloudError ? problem : lost()
      try {
        if (!this.#link.ready) await this.#link.whenReady(left)
        const answer = await this.#acks.ask(this.subject(operation), bytes, Math.min(left, attemptMs))
        if (answer.data.length > 0) {
          const value = JSON.parse(Buffer.from(answer.data).toString()) as T & { readonly error?: JetError }
          if (value.error === undefined) return value
          if (expected.includes(value.error.err_code ?? 0)) return value.error
          const error = jetError(value.error, operation)
          if (!CloudError.is(error, 'core.bus.disconnected')) throw error
          problem = error
        } else problem = this.#nobody(operation)
      } catch (error) {
        if (this.#closed !== undefined) throw this.#closed
        if (!CloudError.is(error, 'core.bus.disconnected')) throw error
        problem = error
      }
      await sleep(this.#clock, 100)
    }
  }

  /** The same where every error is one. */
  async demand<T>(operation: string, body?: object): Promise<T> {
    return (await this.ask<T>(operation, body)) as T
  }

  /** Nobody listens to the API: no JetStream, or no leader yet. */
  #nobody(operation: string): CloudError {
    const { info } = this.#link
    if (info?.jetstream !== true && info?.cluster === undefined)
      throw new CloudError('core.bus.unsupported', `${operation}: the NATS server has no JetStream`)
    return lost()
  }
}

export function isJetError(value: unknown): value is JetError {
  return typeof value === 'object' && value !== null && 'err_code' in value && 'code' in value
}
