import { type Clock, sleep } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import { type Logger, silentLogger } from '../../kernel/logger.js'
import type { Bus } from '../bus.js'
import { ProtocolError } from '../frame.js'
import type { ConsumerInfo, StartAt, StreamInfo, Streams } from '../stream.js'
import type { MessageRecord } from '../stream-log/record.js'
import { LinkStreams } from './link-streams.js'
import { PublishQueue } from './publish-queue.js'
import type { FullConsumerConfig, FullStreamConfig } from './stream-checks.js'
import { errorOf, isUnreachable, streamSubjects } from './stream-errors.js'
import type { Fetched, FetchRequest, Held, LinkPublish, ReadAnswer, ReadRequest, StreamLink } from './stream-link.js'
import { readFetched, readOutcomes, readRead, writeFetch, writePublish } from './stream-wire.js'

export interface RemoteStreamsOptions {
  /** Stays the caller's to dispose. */
  readonly bus: Bus
  readonly clock: Clock
  readonly logger?: Logger
}

/** Milliseconds that a call waits for a server that cannot be reached. */
const reachMs = 10_000

/**
 * The streams that another process serves on this bus (`serveStreams`). Publishes that wait in one turn go together.
 * After a lost connection or a restarted server everything goes on by itself; a message without an id whose
 * acknowledgement was lost fails with `core.bus.disconnected`: only with an id can it be repeated safely.
 * Of messages that one client has under way at the same time, the order may change when the connection breaks.
 */
export function remoteStreams({ bus, clock, logger = silentLogger }: RemoteStreamsOptions): Streams {
  return new LinkStreams({ link: new RemoteLink(bus, clock), clock, logger: logger.child({ component: 'streams' }) })
}

class RemoteLink implements StreamLink {
  readonly givesOwn = true
  readonly #bus: Bus
  readonly #clock: Clock
  readonly #queue: PublishQueue
  readonly #closing = new AbortController()

  constructor(bus: Bus, clock: Clock) {
    this.#bus = bus
    this.#clock = clock
    this.#queue = new PublishQueue({
      clock,
      send: async batch => {
        const deadline = clock.now() + reachMs
        return readOutcomes(await this.#ask(streamSubjects.publish, writePublish(batch), deadline))
      },
    })
  }

  ensure(config: FullStreamConfig): Promise<StreamInfo> {
    return this.#call('ensure', config.name, { config })
  }

  info(stream: string): Promise<StreamInfo> {
    return this.#call('info', stream)
  }

  list(): Promise<readonly string[]> {
    return this.#call('list', '')
  }

  remove(stream: string): Promise<void> {
    return this.#call('remove', stream)
  }

  purge(stream: string, which: { readonly subject?: string; readonly below?: number }): Promise<number> {
    return this.#call('purge', stream, which)
  }

  publish(message: LinkPublish): Promise<{ stream: string; sequence: number; duplicate: boolean }> {
    return this.#queue.add(0, message)
  }

  async publishAt(at: number, message: LinkPublish): Promise<void> {
    // 0 stands for now.
    await this.#queue.add(Math.max(1, at), message)
  }

  async get(
    stream: string,
    which: { readonly sequence?: number; readonly lastOf?: string },
  ): Promise<MessageRecord | undefined> {
    return readRead(await this.#reach('get', stream, which)).records[0]
  }

  async read(stream: string, request: ReadRequest, signal?: AbortSignal): Promise<ReadAnswer> {
    return readRead(await this.#reach('read', stream, request, signal, request.waitMs))
  }

  startOf(stream: string, start: StartAt): Promise<number> {
    return this.#call('startOf', stream, { start })
  }

  join(
    stream: string,
    config: FullConsumerConfig,
    member: { readonly start: StartAt; readonly previous?: string; readonly working: readonly Held[] },
  ): Promise<{ readonly member: string; readonly kept: readonly Held[] }> {
    return this.#call('join', stream, { config, ...member })
  }

  async fetch(member: string, request: FetchRequest, signal?: AbortSignal): Promise<Fetched | undefined> {
    const deadline = this.#clock.now() + request.waitMs + reachMs / 2
    return readFetched(await this.#ask(streamSubjects.fetch, writeFetch(member, request), deadline, signal))
  }

  consumerInfo(stream: string, consumer: string): Promise<ConsumerInfo> {
    return this.#call('consumerInfo', stream, { consumer })
  }

  removeConsumer(stream: string, consumer: string): Promise<void> {
    return this.#call('removeConsumer', stream, { consumer })
  }

  replayDead(stream: string, sequences: readonly number[]): Promise<number> {
    return this.#call('replayDead', stream, { sequences })
  }

  async close(): Promise<void> {
    const error = new CloudError('core.kernel.stopped', 'the streams are closed')
    this.#closing.abort(error)
    this.#queue.close(error)
  }

  // ---- inside

  async #call<T>(call: string, stream: string, args: object = {}): Promise<T> {
    const answer = await this.#reach(call, stream, args)
    return JSON.parse(answer.toString()) as T
  }

  /** Asks until a server answers, at most ten seconds beyond what it may wait: every such question may be repeated. */
  async #reach(call: string, stream: string, args: object, signal?: AbortSignal, waitMs = 0): Promise<Buffer> {
    const question = Buffer.from(JSON.stringify({ call, stream, ...args }))
    const until = this.#clock.now() + reachMs + waitMs
    // Whoever gives a signal of its own ends before this is closed.
    const stop = signal ?? this.#closing.signal
    for (let pause = 20; ; pause = Math.min(pause * 2, 500)) {
      try {
        return await this.#ask(streamSubjects.call, question, until, stop)
      } catch (error) {
        if (!isUnreachable(error)) throw error
        if (this.#clock.now() + pause >= until) throw unreachable(error)
        await sleep(this.#clock, pause, stop)
      }
    }
  }

  /** @throws CloudError what the server answered. */
  async #ask(subject: string, payload: Uint8Array, deadline: number, signal?: AbortSignal): Promise<Buffer> {
    const answer = await this.#bus.request(subject, payload, {
      deadline,
      ...(signal === undefined ? {} : { signal }),
    })
    const bytes = Buffer.from(answer.payload.buffer, answer.payload.byteOffset, answer.payload.length)
    if (bytes[0] === 0) return bytes.subarray(1)
    if (bytes[0] === 1) throw errorOf(bytes.subarray(1))
    throw new ProtocolError('an answer of an unknown kind')
  }
}

function unreachable(cause: unknown): CloudError {
  return new CloudError('core.bus.disconnected', `no server of streams answered in ${reachMs} ms`, { cause })
}
