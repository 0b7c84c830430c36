import { once } from 'node:events'
import type { Socket } from 'node:net'
import { CloudError } from '../../kernel/errors.js'
import { type BulkInlet, maxBulkHeaderBytes } from '../network.js'
import type { SocketReader } from './socket-reader.js'
import { connectionEnded } from './tcp-errors.js'

/*
 * Behind the handshake of a connection of its own: header length (4) and header; back comes 0 and an offset (8), or 1.
 * Then chunks, each its length (4, at least 1) and its bytes, and at the end a length of 0; back comes 0, or 1.
 */

/** Largest chunk on the wire; larger ones are cut. */
const maxChunkBytes = 1024 * 1024

/** @throws CloudError `core.ha.unavailable`, and whatever the body throws. */
export async function sendBulk(
  socket: Socket,
  reader: SocketReader,
  header: Uint8Array,
  body: (offset: number) => AsyncIterable<Uint8Array>,
): Promise<void> {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(header.length)
  await write(socket, Buffer.concat([length, header]))
  await taken(reader, 'refuses the transfer')
  const words = await reader.take(8)
  const offset = words.readUInt32LE(0) + words.readUInt32LE(4) * 0x1_0000_0000
  // A receiver that fails says so while it is being sent to.
  let answered = false
  const done = taken(reader, 'failed while it received').finally(() => {
    answered = true
  })
  done.catch(() => undefined)
  for await (const chunk of body(offset)) {
    for (let at = 0; at < chunk.length && !answered; at += maxChunkBytes) {
      await writeChunk(socket, chunk.subarray(at, at + maxChunkBytes), done)
    }
    if (answered) break
  }
  if (!answered) await write(socket, Buffer.alloc(4))
  await done
}

async function writeChunk(socket: Socket, chunk: Uint8Array, done: Promise<void>): Promise<void> {
  const head = Buffer.alloc(4)
  head.writeUInt32LE(chunk.length)
  socket.write(head)
  await Promise.race([write(socket, Buffer.from(chunk)), done])
}

/** Resolves when there is room for more. */
async function write(socket: Socket, bytes: Uint8Array): Promise<void> {
  if (socket.destroyed) throw connectionEnded()
  if (socket.write(bytes)) return
  const over = new AbortController()
  try {
    const { signal } = over
    const ended = once(socket, 'close', { signal }).then(() => {
      throw connectionEnded()
    })
    ended.catch(() => undefined)
    await Promise.race([once(socket, 'drain', { signal }), ended])
  } finally {
    over.abort()
  }
}

async function taken(reader: SocketReader, what: string): Promise<void> {
  const [status] = await reader.take(1)
  if (status !== 0) throw new CloudError('core.ha.unavailable', `the other side ${what}`)
}

/** @throws what the handler throws, after the other side was told that it failed. */
export async function takeBulk(
  socket: Socket,
  reader: SocketReader,
  accept: (header: Uint8Array) => Promise<BulkInlet>,
): Promise<void> {
  try {
    const length = (await reader.take(4)).readUInt32LE(0)
    if (length > maxBulkHeaderBytes) throw new CloudError('core.ha.bad-message', `a header of ${length} bytes`)
    const inlet = await accept(await reader.take(length))
    const words = Buffer.alloc(9)
    words.writeUInt32LE(inlet.offset % 0x1_0000_0000, 1)
    words.writeUInt32LE(Math.floor(inlet.offset / 0x1_0000_0000), 5)
    socket.write(words)
    await inlet.take(chunksOf(reader))
    socket.end(Buffer.of(0))
  } catch (error) {
    if (!socket.destroyed) socket.end(Buffer.of(1))
    // What is still coming is not read by anybody: the end has to get through.
    reader.release()
    socket.resume()
    throw error
  }
}

async function* chunksOf(reader: SocketReader): AsyncIterable<Uint8Array> {
  for (;;) {
    const length = (await reader.take(4)).readUInt32LE(0)
    if (length === 0) return
    if (length > maxChunkBytes) throw new CloudError('core.ha.bad-message', `a chunk of ${length} bytes`)
    yield await reader.take(length)
  }
}
