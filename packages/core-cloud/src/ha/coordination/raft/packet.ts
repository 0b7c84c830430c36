import { CloudError } from '../../../kernel/errors.js'

/**
 * Commands and snapshots as bytes: four bytes with the length of a head in JSON, the head, a body. One after the other
 * in a snapshot, each with four more bytes in front: the length of both.
 */
export function packet(head: unknown, body: Uint8Array = empty): Buffer {
  const text = Buffer.from(JSON.stringify(head))
  const bytes = Buffer.allocUnsafe(4 + text.length + body.length)
  bytes.writeUInt32BE(text.length)
  text.copy(bytes, 4)
  bytes.set(body, 4 + text.length)
  return bytes
}

/** @throws CloudError `core.ha.corrupt` for bytes that are no packet. */
export function unpacked(bytes: Uint8Array): { readonly head: unknown; readonly body: Uint8Array } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  try {
    const end = 4 + buffer.readUInt32BE()
    if (end > buffer.length) throw new RangeError('cut off')
    return { head: JSON.parse(buffer.toString('utf8', 4, end)), body: buffer.subarray(end) }
  } catch (cause) {
    throw new CloudError('core.ha.corrupt', 'bytes of the coordination are no packet', { cause })
  }
}

/** Brings packets together into chunks of about this many bytes. */
const chunkBytes = 65_536

export async function* framed(packets: Iterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  let waiting: Uint8Array[] = []
  let bytes = 0
  for (const one of packets) {
    const length = Buffer.allocUnsafe(4)
    length.writeUInt32BE(one.length)
    waiting.push(length, one)
    bytes += 4 + one.length
    if (bytes < chunkBytes) continue
    yield Buffer.concat(waiting)
    waiting = []
    bytes = 0
  }
  if (bytes > 0) yield Buffer.concat(waiting)
}

/** The packets again, however the chunks are cut. @throws CloudError `core.ha.corrupt` when the last one is cut off. */
export async function* unframed(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of chunks) {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk])
    let at = 0
    while (rest.length - at >= 4) {
      const length = rest.readUInt32BE(at)
      if (rest.length - at - 4 < length) break
      yield rest.subarray(at + 4, at + 4 + length)
      at += 4 + length
    }
    rest = rest.subarray(at)
  }
  if (rest.length > 0) throw new CloudError('core.ha.corrupt', 'a snapshot of the coordination ends too early')
}

const empty = new Uint8Array(0)
