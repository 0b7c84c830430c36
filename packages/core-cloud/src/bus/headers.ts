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

/** Names found well-formed: the same few come again and again. */
const goodNames = new Set<string>()
const maxGoodNames = 256

/** The block that is being made. Nothing else runs meanwhile. */
const scratch = Buffer.allocUnsafeSlow(maxHeaderBytes)

/** @throws CloudError `core.bus.refused` for a name or value that is not allowed, `core.contract.payload-too-large`. */
export function encodeHeaders(headers: BusHeaders | undefined): HeaderBlock {
  if (headers === undefined) return noHeaders
  let end = 0
  let count = 0
  for (const name of Object.keys(headers)) {
    const value = headers[name] ?? ''
    if (!goodNames.has(name)) checkName(name)
    count += 1
    if (count > maxHeaders || end + 3 + name.length + value.length > maxHeaderBytes) throw tooMany()
    scratch[end] = name.length
    for (let index = 0; index < name.length; index++) scratch[end + 1 + index] = name.charCodeAt(index)
    const start = end + 3 + name.length
    end = start + putValue(start, name, value)
    scratch[start - 2] = (end - start) >>> 8
    scratch[start - 1] = end - start
  }
  if (end === 0) return noHeaders
  const block = Buffer.allocUnsafe(end)
  scratch.copy(block, 0, 0, end)
  return block
}

/** @returns bytes of the value. */
function putValue(start: number, name: string, value: string): number {
  for (let index = 0; index < value.length; index++) {
    const unit = value.charCodeAt(index)
    if (unit > 127) return putText(start, name, value)
    if (unit === 0 || unit === 10 || unit === 13) throw notAllowed(name)
    scratch[start + index] = unit
  }
  return value.length
}

function putText(start: number, name: string, value: string): number {
  if (breaks.test(value)) throw notAllowed(name)
  if (start + Buffer.byteLength(value) > maxHeaderBytes) throw tooMany()
  return scratch.write(value, start)
}

function checkName(name: string): void {
  if (!nameForm.test(name) || name.startsWith(reserved)) throw notAllowed(name)
  if (goodNames.size >= maxGoodNames) goodNames.clear()
  goodNames.add(name)
}

function notAllowed(name: string): CloudError {
  const field = `headers/${name.slice(0, 64)}`
  return new CloudError('core.bus.refused', `header '${name.slice(0, 64)}' is not allowed`, { field })
}

function tooMany(): CloudError {
  const text = `headers are at most ${maxHeaders} of together ${maxHeaderBytes} bytes`
  return new CloudError('core.contract.payload-too-large', text, { field: 'headers' })
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
    headers[nameIn(block, offset + 1, nameEnd)] = block.toString('utf8', nameEnd + 2, valueEnd)
    offset = valueEnd
  }
  return headers
}

/** Names of every call. A string made of bytes must be looked up among all names of the program before it can be one. */
const usual = ['traceparent', 'contract-version', 'tenant', 'actor', 'idempotency-key', 'error', 'tracestate', 'caller']

function nameIn(block: HeaderBlock, start: number, end: number): string {
  for (const name of usual) if (name.length === end - start && isAt(block, start, name)) return name
  return block.toString('latin1', start, end)
}

function isAt(block: HeaderBlock, start: number, name: string): boolean {
  for (let index = 0; index < name.length; index++) if (block[start + index] !== name.charCodeAt(index)) return false
  return true
}
