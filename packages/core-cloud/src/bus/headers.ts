import { CloudError } from '../kernel/errors.js'
import type { BusHeaders } from './bus.js'

/**
 * Headers as one block of bytes: per header a length byte, the name, two length bytes, the value in UTF-8.
 * The hub checks the block's form and passes it on unread; only the two ends turn it into strings.
 */
export type HeaderBlock = Buffer

/** Most headers of a message. */
const maxHeaders = 32
/** Most bytes of a message's header block. */
const maxHeaderBytes = 16_384

export const noHeaders: HeaderBlock = Buffer.alloc(0)

/** A record without the names every object has, so that a missing header is undefined; faster than `Object.create(null)`. */
const HeaderRecord = function () {} as unknown as new () => Record<string, string>
HeaderRecord.prototype = Object.create(null) as Record<string, string>
const noNames: BusHeaders = Object.freeze(new HeaderRecord())

const nameForm = /^[a-z0-9-]{1,64}$/
// Line breaks would let a value forge a line wherever headers are written as text.
const breaks = /[\r\n\0]/
const reserved = 'aaas-'

/** @throws CloudError `core.bus.refused` for a name or value that is not allowed, `core.contract.payload-too-large`. */
export function encodeHeaders(headers: BusHeaders | undefined): HeaderBlock {
  if (headers === undefined) return noHeaders
  const names = Object.keys(headers)
  if (names.length === 0) return noHeaders
  let bytes = 0
  for (const name of names) {
    const value = headers[name] ?? ''
    if (!nameForm.test(name) || name.startsWith(reserved) || breaks.test(value)) {
      throw new CloudError('core.bus.refused', `header '${name.slice(0, 64)}' is not allowed`, {
        field: `headers/${name.slice(0, 64)}`,
      })
    }
    bytes += 3 + name.length + Buffer.byteLength(value)
  }
  if (names.length > maxHeaders || bytes > maxHeaderBytes) {
    throw new CloudError(
      'core.contract.payload-too-large',
      `headers are at most ${maxHeaders} of together ${maxHeaderBytes} bytes`,
      {
        field: 'headers',
      },
    )
  }
  const block = Buffer.allocUnsafe(bytes)
  let offset = 0
  for (const name of names) {
    block[offset] = name.length
    offset += 1 + block.write(name, offset + 1, 'latin1')
    const length = block.write(headers[name] ?? '', offset + 2)
    block.writeUInt16BE(length, offset)
    offset += 2 + length
  }
  return block
}

/** True when a block that came over a wire is one that {@link encodeHeaders} could have made. Allocates nothing. */
export function isHeaderBlock(block: Uint8Array): boolean {
  if (block.length > maxHeaderBytes) return false
  let offset = 0
  for (let count = 0; offset < block.length; count++) {
    const nameLength = block[offset] ?? 0
    const nameEnd = offset + 1 + nameLength
    if (count === maxHeaders || nameLength === 0 || nameLength > 64 || nameEnd + 2 > block.length) return false
    let reservedSoFar = nameLength >= reserved.length
    for (let index = offset + 1; index < nameEnd; index++) {
      const byte = block[index] ?? 0
      if (!isNameByte(byte)) return false
      const place = index - offset - 1
      if (place < reserved.length && byte !== reserved.charCodeAt(place)) reservedSoFar = false
    }
    const valueEnd = nameEnd + 2 + (((block[nameEnd] ?? 0) << 8) | (block[nameEnd + 1] ?? 0))
    if (reservedSoFar || valueEnd > block.length) return false
    for (let index = nameEnd + 2; index < valueEnd; index++) {
      const byte = block[index]
      if (byte === 0 || byte === 10 || byte === 13) return false
    }
    offset = valueEnd
  }
  return true
}

function isNameByte(byte: number): boolean {
  return (byte >= 97 && byte <= 122) || (byte >= 48 && byte <= 57) || byte === 45
}

/** Reads a block that passed {@link isHeaderBlock}. A missing name is undefined, whatever it is. */
export function decodeHeaders(block: HeaderBlock): BusHeaders {
  if (block.length === 0) return noNames
  const headers = new HeaderRecord()
  let offset = 0
  while (offset < block.length) {
    const nameEnd = offset + 1 + (block[offset] ?? 0)
    const valueEnd = nameEnd + 2 + (((block[nameEnd] ?? 0) << 8) | (block[nameEnd + 1] ?? 0))
    headers[block.toString('latin1', offset + 1, nameEnd)] = block.toString('utf8', nameEnd + 2, valueEnd)
    offset = valueEnd
  }
  return headers
}
