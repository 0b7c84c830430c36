import type { MessageStream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import { CloudError } from '../../kernel/errors.js'

/** What a piece in a list costs beside its bytes: a peer that sends single bytes must not get more room by it. */
const pieceCost = 128

/**
 * Reads exact numbers of bytes from a stream, and makes the sender wait when they are not fetched. (The stream's own
 * async iterator takes whatever comes.)
 */
export class StreamReader {
  readonly #stream: MessageStream
  readonly #maxHeld: number
  readonly #pieces: Uint8Array[] = []
  #bytes = 0
  #paused = false
  #ended: Error | undefined
  #wake: (() => void) | undefined
  readonly #onMessage = (event: StreamMessageEvent): void => this.#take(event)
  readonly #onClose = (event: StreamCloseEvent): void => this.#end(event.error)
  readonly #onRemoteClose = (): void => this.#end(undefined)

  /** @param options.maxHeldBytes - from there on the other side waits, default 512 KiB. */
  constructor(stream: MessageStream, options: { readonly maxHeldBytes?: number } = {}) {
    this.#stream = stream
    this.#maxHeld = options.maxHeldBytes ?? 512 * 1024
    stream.addEventListener('close', this.#onClose)
    stream.addEventListener('remoteCloseWrite', this.#onRemoteClose)
    stream.addEventListener('message', this.#onMessage)
    if (stream.status !== 'open') this.#end(undefined)
  }

  /** One reader at a time. @throws CloudError `core.ha.unavailable` when the stream ends before. */
  async read(count: number): Promise<Buffer> {
    while (this.#bytes < count) {
      if (this.#ended !== undefined) throw this.#ended
      // A read that is larger than what may be held has to be let through.
      this.#resume()
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
    const result = this.#cut(count)
    if (this.#held < this.#maxHeld / 2) this.#resume()
    return result
  }

  /** Resolves when nothing comes any more. */
  async ended(): Promise<void> {
    while (this.#ended === undefined) {
      this.#drop()
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
  }

  /** Gives the stream back, with what came and was not read. */
  release(): void {
    this.#stream.removeEventListener('close', this.#onClose)
    this.#stream.removeEventListener('remoteCloseWrite', this.#onRemoteClose)
    this.#stream.removeEventListener('message', this.#onMessage)
    if (this.#bytes > 0 && this.#ended === undefined) this.#stream.unshift(this.#cut(this.#bytes))
    this.#resume()
  }

  get #held(): number {
    return this.#bytes + this.#pieces.length * pieceCost
  }

  #take({ data }: StreamMessageEvent): void {
    for (const piece of data instanceof Uint8Array ? [data] : data) this.#pieces.push(piece)
    this.#bytes += data.byteLength
    if (!this.#paused && this.#held > this.#maxHeld) {
      this.#paused = true
      this.#stream.pause()
    }
    this.#wakeUp()
  }

  #drop(): void {
    this.#pieces.length = 0
    this.#bytes = 0
    this.#resume()
  }

  #cut(count: number): Buffer {
    const result = Buffer.allocUnsafe(count)
    let filled = 0
    let used = 0
    for (const piece of this.#pieces) {
      const part = piece.subarray(0, count - filled)
      result.set(part, filled)
      filled += part.length
      if (part.length < piece.length) {
        this.#pieces[used] = piece.subarray(part.length)
        break
      }
      used += 1
      if (filled === count) break
    }
    this.#pieces.splice(0, used)
    this.#bytes -= count
    return result
  }

  #resume(): void {
    if (!this.#paused || this.#ended !== undefined) return
    this.#paused = false
    this.#stream.resume()
  }

  #end(cause: Error | undefined): void {
    if (this.#ended !== undefined) return
    this.#ended = new CloudError('core.ha.unavailable', 'the connection ended', cause === undefined ? {} : { cause })
    this.#wakeUp()
  }

  #wakeUp(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}

/**
 * Waits until more may be sent; rejects with the signal, which has to fire when the stream ends. (The stream's own
 * `onDrain` waits only the first time.)
 */
export async function drained(stream: MessageStream, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  while (stream.writableNeedsDrain) {
    await new Promise<void>((resolve, reject) => {
      const settle = (): void => {
        stream.removeEventListener('drain', settle)
        signal.removeEventListener('abort', settle)
        if (signal.aborted) reject(signal.reason as Error)
        else resolve()
      }
      stream.addEventListener('drain', settle)
      signal.addEventListener('abort', settle)
    })
  }
}
