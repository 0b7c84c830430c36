import { CloudError } from '../../kernel/errors.js'
import { type HeaderBlock, isHeaderBlock } from '../headers.js'

/** Headers that only the server sets: their names begin so. */
const prefix = 'aaas-'

/** One header as {@link encodeHeaders} writes it, for names that users may not set. At most 60_000 bytes of value. */
export function ownHeader(name: string, value: string): Buffer {
  const text = Buffer.from(value.replace(/[\r\n\0]+/g, ' '))
  const block = Buffer.allocUnsafe(3 + prefix.length + name.length + text.length)
  block[0] = prefix.length + name.length
  const at = 1 + block.write(prefix + name, 1, 'latin1')
  block.writeUInt16BE(text.length, at)
  block.set(text, at + 2)
  return block
}

/** Splits the server's own headers from the user's. @throws CloudError `core.bus.corrupt` when it is no header block. */
export function splitHeaders(block: HeaderBlock): {
  readonly own: ReadonlyMap<string, string>
  readonly users: HeaderBlock
} {
  const own = new Map<string, string>()
  const users: Buffer[] = []
  for (let at = 0; at < block.length; ) {
    const nameEnd = at + 1 + (block[at] as number)
    const end = nameEnd + 2 + (((block[nameEnd] ?? 0) << 8) | (block[nameEnd + 1] ?? 0))
    if (end > block.length) throw new CloudError('core.bus.corrupt', 'the headers of a stored message are damaged')
    const name = block.toString('latin1', at + 1, nameEnd)
    if (name.startsWith(prefix)) own.set(name.slice(prefix.length), block.toString('utf8', nameEnd + 2, end))
    else users.push(block.subarray(at, end))
    at = end
  }
  return { own, users: Buffer.concat(users) }
}

const deleteMark = ownHeader('kv', 'delete')

/** Headers of the message that says that a key of a bucket is gone. */
export const deleted: HeaderBlock = deleteMark

export const isDeleted = (headers: HeaderBlock): boolean => deleteMark.equals(headers)

/** @throws CloudError `core.bus.refused` for headers that a client may not send. */
export function checkHeaderBlock(block: HeaderBlock, bucket: boolean): void {
  if (isHeaderBlock(block) || (bucket && isDeleted(block))) return
  throw new CloudError('core.bus.refused', 'headers that are not allowed', { field: 'headers' })
}
