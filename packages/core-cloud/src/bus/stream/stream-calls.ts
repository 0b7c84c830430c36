import { CloudError } from '../../kernel/errors.js'
import { ProtocolError } from '../frame.js'
import type { ConsumerConfig, StartAt, StreamConfig } from '../stream.js'
import { checkOwnConfig } from '../stream-log/segments.js'
import { checkPattern, checkSubject } from '../subject.js'
import { checkConsumerConfig, checkName, checkStart, deadSuffix, whole } from './stream-checks.js'
import type { Held, ReadRequest, StreamLink } from './stream-link.js'
import { maxBatchMessages, writeRead } from './stream-wire.js'

/** What somebody wants to do with a stream. `manage` is everything that changes what streams and consumers there are. */
export type StreamAction = 'publish' | 'consume' | 'read' | 'manage'

/** Longest that a question may wait for messages: who serves it wants to stop some time. */
const longestWaitMs = 5_000

type Args = Readonly<Record<string, unknown>>

/** One kind of question whose form is JSON. */
export interface StreamCall {
  readonly action: StreamAction
  /** Checks the arguments and does it; bytes are an answer that is not JSON. */
  readonly run: (link: StreamLink, stream: string, args: Args, signal: AbortSignal | undefined) => Promise<unknown>
}

/** Every question of a client but publishing and fetching. */
export const streamCalls: Readonly<Record<string, StreamCall>> = {
  ensure: {
    action: 'manage',
    run: (link, stream, { config }) => {
      const full = checkOwnConfig((config ?? {}) as StreamConfig)
      if (full.name !== stream || stream.endsWith(deadSuffix)) throw new ProtocolError('another stream')
      return link.ensure(full)
    },
  },
  info: { action: 'read', run: (link, stream) => link.info(stream) },
  remove: { action: 'manage', run: (link, stream) => link.remove(stream) },
  purge: {
    action: 'manage',
    run: (link, stream, { subject, below }) => {
      if (subject !== undefined) checkPattern(String(subject))
      if (below !== undefined) whole(below as number, 'below', 0, 2 ** 52)
      return link.purge(stream, {
        ...(subject === undefined ? {} : { subject: String(subject) }),
        ...(below === undefined ? {} : { below: below as number }),
      })
    },
  },
  get: {
    action: 'read',
    run: async (link, stream, { sequence, lastOf }) => {
      if (lastOf !== undefined) checkSubject(String(lastOf))
      else whole(sequence as number, 'sequence', 0, 2 ** 52)
      const which = lastOf === undefined ? { sequence: sequence as number } : { lastOf: String(lastOf) }
      const record = await link.get(stream, which)
      return writeRead({ records: record === undefined ? [] : [record], next: 0 })
    },
  },
  read: {
    action: 'read',
    run: async (link, stream, args, signal) => writeRead(await link.read(stream, readRequest(args), signal)),
  },
  startOf: {
    action: 'read',
    run: (link, stream, { start }) => {
      checkStart(start as StartAt)
      return link.startOf(stream, start as StartAt)
    },
  },
  join: {
    action: 'consume',
    run: (link, stream, { config, start, previous, working }) => {
      checkStart(start as StartAt)
      if (previous !== undefined && typeof previous !== 'string') throw new ProtocolError('a member that is none')
      return link.join(stream, checkConsumerConfig((config ?? {}) as ConsumerConfig), {
        start: (start ?? 'first') as StartAt,
        working: held(working),
        ...(previous === undefined ? {} : { previous }),
      })
    },
  },
  consumerInfo: {
    action: 'read',
    run: (link, stream, { consumer }) => link.consumerInfo(stream, consumerName(consumer)),
  },
  removeConsumer: {
    action: 'manage',
    run: (link, stream, { consumer }) => link.removeConsumer(stream, consumerName(consumer)),
  },
  replayDead: {
    action: 'manage',
    run: (link, stream, { sequences }) => {
      const good = Array.isArray(sequences) && sequences.length <= 1_000 && sequences.every(Number.isSafeInteger)
      if (!good) throw new ProtocolError('sequences that are none')
      return link.replayDead(stream, sequences as number[])
    },
  },
}

/** @throws ProtocolError, CloudError. */
export function readCall(payload: Uint8Array): { readonly name: string; readonly stream: string; readonly args: Args } {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString())
  } catch (cause) {
    throw new ProtocolError('a question that is not JSON', { cause })
  }
  if (typeof value !== 'object' || value === null) throw new ProtocolError('a question that is not a JSON object')
  const { call, stream, ...args } = value as Args
  if (typeof call !== 'string' || (call !== 'list' && !Object.hasOwn(streamCalls, call))) {
    throw new CloudError('core.bus.unsupported', `this server does not know the question ${String(call).slice(0, 40)}`)
  }
  if (call !== 'list') checkStreamName(stream as string)
  return { name: call, stream: String(stream), args }
}

/** @throws CloudError for a name that neither a stream nor a bucket can have. */
function checkStreamName(stream: string): void {
  const own = typeof stream === 'string' && stream.startsWith('kv.')
  // Dead letters have the name of their stream and five characters more.
  const plain = typeof stream === 'string' && stream.endsWith(deadSuffix) ? stream.slice(0, -5) : stream
  checkName(own ? stream.slice(3) : plain, 'stream')
}

function readRequest({ from, filter, lastOnly, bodies, limit, waitMs }: Args): ReadRequest {
  if (filter !== undefined) {
    if (!Array.isArray(filter) || filter.length > 64) throw new ProtocolError('a filter that is none')
    for (const pattern of filter) {
      if (typeof pattern !== 'string') throw new ProtocolError('a filter that is none')
      checkPattern(pattern)
    }
  }
  return {
    from: whole(from as number, 'from', 0, 2 ** 52),
    limit: whole(limit as number, 'limit', 1, maxBatchMessages),
    waitMs: Math.min(whole(waitMs as number, 'waitMs', 0, 60_000), longestWaitMs),
    ...(filter === undefined ? {} : { filter: filter as string[] }),
    ...(lastOnly === true ? { lastOnly } : {}),
    ...(bodies === false ? { bodies } : {}),
  }
}

function held(working: unknown): Held[] {
  if (!Array.isArray(working) || working.length > 65_536) throw new ProtocolError('deliveries that are none')
  return working.map((each: unknown) => {
    const { sequence, attempt } = (each ?? {}) as Partial<Held>
    return {
      sequence: whole(sequence as number, 'sequence', 1, 2 ** 52),
      attempt: whole(attempt as number, 'attempt', 1, 65_535),
    }
  })
}

function consumerName(consumer: unknown): string {
  checkName(consumer as string, 'consumer')
  return consumer as string
}
