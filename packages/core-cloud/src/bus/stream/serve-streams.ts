import { CloudError } from '../../kernel/errors.js'
import { type Logger, silentLogger } from '../../kernel/logger.js'
import type { Bus, BusMessage, BusSubscription } from '../bus.js'
import { ProtocolError } from '../frame.js'
import { checkHeaderBlock } from '../stream-log/own-headers.js'
import type { LocalStreams } from './open-streams.js'
import { readCall, type StreamAction, streamCalls } from './stream-calls.js'
import { checkMessageId, checkStreamPublish, whole } from './stream-checks.js'
import { streamSubjects } from './stream-errors.js'
import {
  type PublishOutcome,
  readFetch,
  readPublish,
  type WirePublish,
  writeFetched,
  writeOutcomes,
} from './stream-wire.js'

export type { StreamAction } from './stream-calls.js'

export interface ServeStreamsOptions {
  readonly bus: Bus
  readonly streams: LocalStreams
  /**
   * Decides what a client may do. `sender` is the identity that the hub stamped on the connection (undefined: this
   * process). Buckets are named `kv.<bucket>`, dead letters `<stream>-dead`. Default: everybody may do everything that
   * the bus let through.
   */
  readonly authorize?: (sender: string | undefined, action: StreamAction, stream: string) => boolean
  readonly logger?: Logger
}

/** Questions of each kind under way; those of members and readers wait for messages. */
const maxInFlight = 65_536

/**
 * Serves the streams of this process to every client of a bus (`remoteStreams`). Disposing stops serving,
 * when the questions under way are answered: within five seconds.
 */
export async function serveStreams(options: ServeStreamsOptions): Promise<AsyncDisposable> {
  const server = new StreamService(options)
  const { bus } = options
  const handlers = { publish: server.publish, fetch: server.fetch, call: server.call }
  const subscriptions: BusSubscription[] = []
  for (const [kind, handler] of Object.entries(handlers)) {
    const subject = streamSubjects[kind as keyof typeof streamSubjects]
    subscriptions.push(await bus.subscribe(subject, handler, { queue: 'aaas-streams', maxInFlight, maxQueued: 4_096 }))
  }
  return {
    async [Symbol.asyncDispose]() {
      await Promise.all(subscriptions.map(subscription => subscription.drain()))
    },
  }
}

class StreamService {
  readonly #options: ServeStreamsOptions
  readonly #logger: Logger

  constructor(options: ServeStreamsOptions) {
    this.#options = options
    this.#logger = options.logger ?? silentLogger
  }

  readonly publish = (message: BusMessage): Promise<void> =>
    this.#answer(message, async () => {
      const batch = readPublish(message.payload)
      return writeOutcomes(await Promise.all(batch.map(each => this.#publishOne(message.sender, each))))
    })

  readonly fetch = (message: BusMessage): Promise<void> =>
    this.#answer(message, async () => {
      const { member, request } = readFetch(message.payload)
      this.#allow(message.sender, 'consume', member.split('/')[0] ?? '')
      return writeFetched(await this.#options.streams.link.fetch(member, request, message.signal))
    })

  readonly call = (message: BusMessage): Promise<void> =>
    this.#answer(message, async () => {
      const { name, stream, args } = readCall(message.payload)
      const { link } = this.#options.streams
      if (name === 'list') return json(await this.#list(message.sender))
      const call = streamCalls[name] as (typeof streamCalls)[string]
      this.#allow(message.sender, call.action, stream)
      const answer = await call.run(link, stream, args, message.signal)
      return Buffer.isBuffer(answer) ? answer : json(answer ?? null)
    })

  async #publishOne(sender: string | undefined, { at, message }: WirePublish): Promise<PublishOutcome> {
    try {
      const { link } = this.#options.streams
      const { subject, payload, messageId, headers, stream } = message
      checkStreamPublish(subject, payload, messageId === '' ? {} : { messageId })
      const bucket = stream?.startsWith('kv.') === true
      checkHeaderBlock(headers, bucket)
      // Only buckets are written by their name: a subject says which stream it belongs to.
      if (stream !== undefined && !(bucket && subject.startsWith(`aaas.${stream}.`))) {
        throw new ProtocolError('a subject of another bucket')
      }
      this.#allow(sender, 'publish', stream ?? link.streamOf(subject))
      if (at === 0) return { ok: true, ...(await link.publish(message, undefined)) }
      checkMessageId(messageId)
      await link.publishAt(whole(Math.trunc(at), 'at', 0, 2 ** 52), message)
      return { ok: true, stream: '', sequence: 0, duplicate: false }
    } catch (error) {
      return { ok: false, error: errorBytes(error) }
    }
  }

  async #list(sender: string | undefined): Promise<readonly string[]> {
    const names = await this.#options.streams.link.list()
    const { authorize } = this.#options
    return authorize === undefined ? names : names.filter(name => authorize(sender, 'read', name))
  }

  #allow(sender: string | undefined, action: StreamAction, stream: string): void {
    if (this.#options.authorize?.(sender, action, stream) ?? true) return
    throw new CloudError('core.bus.refused', `${sender ?? 'this process'} may not ${action} ${stream}`)
  }

  async #answer(message: BusMessage, work: () => Promise<Buffer>): Promise<void> {
    let answer: Buffer
    try {
      answer = Buffer.concat([good, await work()])
    } catch (error) {
      this.#logger.debug('a question about streams failed', { sender: message.sender, error })
      answer = Buffer.concat([bad, errorBytes(error)])
    }
    await message.respond?.(answer)
  }
}

const good = Buffer.of(0)
const bad = Buffer.of(1)

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

function errorBytes(error: unknown): Buffer {
  if (error instanceof ProtocolError) {
    return json(new CloudError('core.kernel.invalid-config', `a question about streams: ${error.message}`))
  }
  const body = CloudError.from(error).toJSON()
  // What failed inside is for the log, and it must fit.
  const { details: _, ...shown } = body
  return json({ ...shown, message: shown.message.slice(0, 1_000) })
}
