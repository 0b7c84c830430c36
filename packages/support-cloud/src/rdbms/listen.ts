import { type Clock, type Logger, sleep } from '@aaas/core-cloud/kernel'
import { connectClient } from './connect-client.js'
import { quotedName } from './identifier.js'

export interface ListenOptions {
  readonly url: string
  /** Lower-case letters, digits, `_` and `-`. */
  readonly channel: string
  readonly clock: Clock
  readonly logger: Logger
  /** Called for each notification, and after each (new) connection: something may have come while there was none. */
  readonly onNotify: () => void
  /** Milliseconds until the next attempt to connect; default 1_000. */
  readonly againMs?: number
}

/**
 * Hears notifications of a channel on a connection of its own, which is made again whenever it ends. A hint only:
 * what is notified while there is no connection is lost. Not for poolers that share connections among transactions.
 */
export function listen(options: ListenOptions): AsyncDisposable {
  const { clock, logger, channel, onNotify, againMs = 1_000 } = options
  const stop = new AbortController()
  const listening = (async () => {
    while (!stop.signal.aborted) {
      try {
        const { client } = await connectClient({ url: options.url, timeoutMs: 5_000 })
        const ended = new Promise<void>(resolve => client.once('end', resolve))
        client.on('error', () => undefined)
        client.on('notification', onNotify)
        const close = (): void => void client.end().catch(() => undefined)
        stop.signal.addEventListener('abort', close, { once: true })
        if (stop.signal.aborted) close()
        await client.query(`listen ${quotedName(channel)}`).then(onNotify)
        await ended
        stop.signal.removeEventListener('abort', close)
      } catch (error) {
        if (!stop.signal.aborted) logger.debug('the connection that listens failed', { error, channel })
      }
      await sleep(clock, againMs, stop.signal).catch(() => undefined)
    }
  })()
  return {
    async [Symbol.asyncDispose]() {
      stop.abort()
      await listening
    },
  }
}
