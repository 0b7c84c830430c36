import type { Msg, MsgHdrs } from '@nats-io/transport-node'
import type { BusHeaders } from '../bus.js'
import { decodeHeaders, encodeHeaders } from '../headers.js'

/*
 * Headers of a stored message are text, so that every NATS tool can read them: the sender's in lower case, the server's
 * as `Nats-...`, ours as `Aaas-...`. A value with a space at its edge would come back without: then all of the sender's
 * headers are in `Aaas-Headers` as well, as base64 of our block.
 */
const exactHeader = 'Aaas-Headers'
const edges = /^\s|\s$/

/** Headers as bytes: the official client asks them for nothing else when it publishes. */
class EncodedHeaders {
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  encode(): Uint8Array {
    return this.#bytes
  }
}

/**
 * @param own - names and values for the server or for us.
 * @returns undefined when there are none.
 * @throws CloudError `core.bus.refused`, `core.contract.payload-too-large` for headers that a message may not have.
 */
export function storedHeaders(
  headers: BusHeaders | undefined,
  own: readonly (readonly [name: string, value: string])[],
): { readonly bytes: number; readonly encoded: MsgHdrs } | undefined {
  const names = headers === undefined ? [] : Object.keys(headers)
  if (names.length === 0 && own.length === 0) return undefined
  let text = 'NATS/1.0\r\n'
  for (const [name, value] of own) text += `${name}: ${value}\r\n`
  if (names.length > 0) {
    const block = encodeHeaders(headers)
    let exact = false
    for (const name of names) {
      const value = headers?.[name] ?? ''
      exact ||= edges.test(value)
      text += `${name}: ${value}\r\n`
    }
    if (exact) text += `${exactHeader}: ${block.toString('base64')}\r\n`
  }
  const bytes = Buffer.from(`${text}\r\n`)
  return { bytes: bytes.length, encoded: new EncodedHeaders(bytes) as unknown as MsgHdrs }
}

/** The sender's headers of a stored message. */
export function senderHeaders(stored: MsgHdrs | undefined): BusHeaders {
  if (stored === undefined) return decodeHeaders(Buffer.alloc(0))
  const exact = stored.get(exactHeader)
  if (exact !== '') return decodeHeaders(Buffer.from(exact, 'base64'))
  const headers: Record<string, string> = {}
  for (const name of stored.keys())
    if (!name.startsWith('Nats-') && !name.startsWith('Aaas-') && !name.startsWith('KV-'))
      headers[name.toLowerCase()] = stored.get(name)
  // An object without the names that every object has.
  return Object.assign(Object.create(null) as Record<string, string>, headers)
}

/** What the subject that a delivery is settled at says about it. */
export interface DeliveryFacts {
  readonly attempt: number
  readonly sequence: number
  /** Of the consumer, rising by one. */
  readonly place: number
  /** Epoch milliseconds. */
  readonly storedAt: number
  /** Messages behind this one that match. */
  readonly pending: number
}

/**
 * `$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<place>.<nanoseconds>.<pending>`, and with the domain and a hash
 * of the account before the stream and a random token behind it in newer servers.
 */
export function deliveryFacts({ reply = '' }: Msg): DeliveryFacts {
  const tokens = reply.split('.')
  const at = tokens.length > 9 ? 6 : 4
  const number = (index: number): number => Number(tokens[at + index])
  return {
    attempt: number(0),
    sequence: number(1),
    place: number(2),
    storedAt: Math.floor(Number((tokens[at + 3] ?? '0').slice(0, -6))),
    pending: number(4),
  }
}
