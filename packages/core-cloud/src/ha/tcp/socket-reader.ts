import type { Socket } from 'node:net'
import { connectionEnded } from './tcp-errors.js'

/** Reads exact numbers of bytes from a socket; what was not asked for stays in it, and holds up the sender. */
export class SocketReader {
  readonly #socket: Socket
  #wake: () => void = () => undefined
  #ended = false
  readonly #onReadable = (): void => this.#wake()
  readonly #onClose = (): void => {
    this.#ended = true
    this.#wake()
  }

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('readable', this.#onReadable)
    socket.on('end', this.#onClose)
    socket.on('close', this.#onClose)
  }

  /** @throws CloudError `core.ha.unavailable` when the connection ends before. */
  async take(bytes: number): Promise<Buffer> {
    if (bytes === 0) return Buffer.alloc(0)
    for (;;) {
      if (this.#socket.destroyed) throw connectionEnded()
      const found = this.#socket.read(bytes) as Buffer | null
      if (found !== null && found.length === bytes) return found
      // At the end a stream hands out what is left, however little.
      if (found !== null || this.#ended) throw connectionEnded()
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
  }

  /** Lets the socket flow to a `data` listener again. */
  release(): void {
    this.#socket.off('readable', this.#onReadable)
    this.#socket.off('end', this.#onClose)
    this.#socket.off('close', this.#onClose)
  }
}
