import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Logger } from '../../kernel/logger.js'
import type { Streams } from '../stream.js'
import type { BusQuota } from './quota-limits.js'

export interface WatchRetainedOptions {
  readonly streams: Pick<Streams, 'list' | 'info'>
  /** Opens the quota of the tenant that a stream belongs to; undefined: nobody's. Asked once per stream. */
  readonly quotaOf: (stream: string) => BusQuota | undefined
  readonly clock: Clock
  readonly logger: Logger
  /** Milliseconds between two questions; default 10_000. */
  readonly everyMs?: number
}

/** Disposing it takes what it counted back from the quotas. */
export interface RetainedWatch extends AsyncDisposable {
  /** Asks now. Never rejects: what cannot be asked counts as it was. */
  look(): Promise<void>
}

/**
 * Meters what servers keep that do not count for us (NATS): asks for the size of every stream again and again. It counts
 * and refuses nothing: there the account's own limit does (`natsAccounts`). Dead letters and buckets are not listed and
 * not counted. Local streams count for themselves (`openStreams({ quotaOf })`), exactly and at once.
 */
export function watchRetained(options: WatchRetainedOptions): RetainedWatch {
  const { streams, quotaOf, clock, logger, everyMs = 10_000 } = options
  const known = new Map<string, { readonly quota: BusQuota | undefined; bytes: number }>()
  let closed = false
  let cancel = (): void => undefined
  let looking: Promise<void> | undefined

  const forget = (stream: string): void => {
    const entry = known.get(stream)
    known.delete(stream)
    entry?.quota?.retain(-entry.bytes)
    entry?.quota?.close()
  }
  const measure = async (stream: string): Promise<void> => {
    const bytes = await sizeOf(streams, stream)
    if (closed) return
    if (bytes === undefined) return forget(stream)
    const entry = known.get(stream) ?? { quota: quotaOf(stream), bytes: 0 }
    known.set(stream, entry)
    if (bytes > entry.bytes) entry.quota?.kept(bytes - entry.bytes)
    else entry.quota?.retain(bytes - entry.bytes)
    entry.bytes = bytes
  }
  const ask = async (): Promise<void> => {
    try {
      const names = await streams.list()
      for (const name of names) if (!closed) await measure(name)
      const there = new Set(names)
      for (const name of [...known.keys()]) if (!there.has(name)) forget(name)
    } catch (error) {
      logger.warn('the size of streams could not be asked for', { error })
    }
  }
  const look = (): Promise<void> => {
    looking ??= ask().finally(() => {
      looking = undefined
    })
    return looking
  }
  const schedule = (): void => {
    cancel = clock.after(everyMs, () => {
      void look().then(() => {
        if (!closed) schedule()
      })
    })
  }
  schedule()
  return {
    look,
    async [Symbol.asyncDispose]() {
      closed = true
      cancel()
      await looking
      for (const stream of [...known.keys()]) forget(stream)
    },
  }
}

/** @returns undefined when the stream is not there any more. */
async function sizeOf(streams: Pick<Streams, 'info'>, stream: string): Promise<number | undefined> {
  try {
    return (await streams.info(stream)).bytes
  } catch (error) {
    if (CloudError.is(error, 'core.bus.unknown-stream')) return undefined
    throw error
  }
}
