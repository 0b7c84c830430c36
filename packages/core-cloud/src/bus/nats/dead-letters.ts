import type { MsgHdrs } from '@nats-io/transport-node'
import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import { deadSuffix, whole } from '../stream/stream-checks.js'
import type { DeadLetter } from '../stream.js'
import { type NatsDelivery, replayId } from './delivery.js'
import { isJetError, type JetApi, JetCode } from './jet-api.js'
import { deadStreamConfig, deadSubject, durabilityOf, type JetStreamInfo } from './jet-config.js'
import { type ReadFrom, readSome } from './reader.js'
import type { StoredMessage } from './stored.js'
import type { StreamPublisher } from './stream-publisher.js'
import { senderHeaders } from './text-headers.js'

const deadHeader = 'Aaas-Dead'
const maxReason = 1_000

/** What is written beside a dead letter, as JSON in one header. */
interface DeadFacts {
  readonly consumer: string
  readonly subject: string
  readonly sequence: number
  readonly attempts: number
  readonly reason: string
  readonly at: number
  readonly id?: string
}

export interface DeadLettersOptions {
  readonly api: JetApi
  readonly publisher: StreamPublisher
  readonly clock: Clock
  readonly read: (stream: string, start: ReadFrom['start']) => ReadFrom
  readonly get: (stream: string, sequence: number) => Promise<StoredMessage | undefined>
}

/** The stream `<stream>-dead` of each stream. */
export class DeadLetters {
  readonly #options: DeadLettersOptions

  constructor(options: DeadLettersOptions) {
    this.#options = options
  }

  /** Stores a dead letter, once however often it is tried. */
  async bury(delivery: NatsDelivery, consumer: string, attempts: number, reason: string): Promise<void> {
    const { stream, sequence, subject, messageId } = delivery
    const facts: DeadFacts = {
      consumer,
      subject,
      sequence,
      attempts,
      reason: reason.slice(0, maxReason),
      at: this.#options.clock.now(),
      ...(messageId === undefined ? {} : { id: messageId }),
    }
    const put = (): Promise<unknown> =>
      this.#options.publisher.put(
        deadSubject(stream, consumer),
        delivery.payload,
        [
          ['Nats-Msg-Id', `${consumer} ${sequence}`],
          [deadHeader, JSON.stringify(facts)],
        ],
        delivery.headers,
      )
    try {
      await put()
    } catch (error) {
      if (!CloudError.is(error, 'core.bus.unknown-stream')) throw error
      // Who made the stream was killed before it made this one, or another tool made the stream.
      const { config } = await this.#options.api.demand<JetStreamInfo>(`STREAM.INFO.${stream}`)
      await this.#options.api.demand(
        `STREAM.CREATE.${stream}${deadSuffix}`,
        deadStreamConfig(stream, durabilityOf(config)),
      )
      await put()
    }
  }

  async list(stream: string, page: { readonly after?: number; readonly limit?: number }): Promise<DeadLetter[]> {
    const limit = whole(page.limit ?? 100, 'limit', 1, 1_000)
    const after = whole(page.after ?? 0, 'after', 0, 2 ** 52)
    const { api, read } = this.#options
    await api.demand(`STREAM.INFO.${stream}`)
    const dead = `${stream}${deadSuffix}`
    const info = await api.ask<JetStreamInfo>(`STREAM.INFO.${dead}`, undefined, [JetCode.streamNotFound])
    // A start behind the end would be cut to it.
    if (isJetError(info) || info.state.last_seq <= after) return []
    const letters: DeadLetter[] = []
    const start = { deliver_policy: 'by_start_sequence' as const, opt_start_seq: after + 1 }
    await readSome(read(dead, start), limit, (message, { sequence }) => {
      const letter = letterOf(sequence, message.data, message.headers)
      if (letter !== undefined) letters.push(letter)
    })
    return letters
  }

  async replay(stream: string, sequences: readonly number[]): Promise<number> {
    const { api, get, publisher } = this.#options
    await api.demand(`STREAM.INFO.${stream}`)
    const dead = `${stream}${deadSuffix}`
    let count = 0
    for (const sequence of new Set(sequences)) {
      whole(sequence, 'sequences', 1, 2 ** 52)
      const stored = await get(dead, sequence).catch((error: unknown) => {
        if (CloudError.is(error, 'core.bus.unknown-stream')) return undefined
        throw error
      })
      const facts = stored === undefined ? undefined : factsOf(stored.headers)
      if (stored === undefined || facts === undefined) continue
      const own: [string, string][] = [
        ['Nats-Msg-Id', replayId(sequence)],
        ['Aaas-Replay-For', facts.consumer],
      ]
      if (facts.id !== undefined) own.push(['Aaas-Msg-Id', facts.id])
      await publisher.put(facts.subject, stored.payload, own, senderHeaders(stored.headers))
      // Killed in between, the letter is still there; replayed again it is known by its id.
      const removed = await api.ask(`STREAM.MSG.DELETE.${dead}`, { seq: sequence, no_erase: true }, [10057, 10043])
      if (!isJetError(removed)) count += 1
    }
    return count
  }
}

function factsOf(headers: MsgHdrs | undefined): DeadFacts | undefined {
  try {
    return JSON.parse(headers?.get(deadHeader) ?? '') as DeadFacts
  } catch {
    return undefined
  }
}

function letterOf(sequence: number, payload: Uint8Array, headers: MsgHdrs | undefined): DeadLetter | undefined {
  const facts = factsOf(headers)
  if (facts === undefined) return undefined
  return {
    sequence,
    consumer: facts.consumer,
    subject: facts.subject,
    payload,
    headers: senderHeaders(headers),
    originalSequence: facts.sequence,
    attempts: facts.attempts,
    reason: facts.reason,
    diedAt: facts.at,
  }
}
