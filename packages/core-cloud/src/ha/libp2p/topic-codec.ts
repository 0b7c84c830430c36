import { CloudError } from '../../kernel/errors.js'
import type { NodeId } from '../raft/types.js'
import { sealBytes } from './topic.js'

/*
 * Messages of `raft-over-topic`, numbers little-endian. Head: version (1), kind (1), from (4), to (4, 0 for everybody),
 * epoch (8, when the sender started), counter (8, rises with every message of an epoch: no two are alike), seal (32).
 * Then hello: count (2) and for each node heard its id (4) and epoch (8); segment: stream (4), sequence (4), fresh (1),
 * bytes; ack: stream (4), next sequence expected (4); bye: nothing.
 */

export type TopicMessage = {
  readonly from: NodeId
  readonly to: NodeId
  readonly epoch: number
  readonly counter: number
  readonly seal: Uint8Array
} & TopicBody

export type TopicBody =
  | { readonly kind: 'hello'; readonly heard: readonly { readonly node: NodeId; readonly epoch: number }[] }
  | { readonly kind: 'bye' }
  | {
      readonly kind: 'segment'
      readonly stream: number
      readonly sequence: number
      /** It begins with the beginning of a frame. */
      readonly fresh: boolean
      readonly bytes: Uint8Array
    }
  | { readonly kind: 'ack'; readonly stream: number; readonly next: number }

const version = 1
const kinds = ['hello', 'bye', 'segment', 'ack'] as const
const headBytes = 1 + 1 + 4 + 4 + 8 + 8 + sealBytes
/** Bytes of frames in one message. */
export const maxSegmentBytes = 128 * 1024
export const maxTopicMessageBytes = headBytes + 9 + maxSegmentBytes
const maxHeard = 1_024

export function encodeTopicMessage(message: TopicMessage): Buffer {
  const head = Buffer.alloc(headBytes)
  head[0] = version
  head[1] = kinds.indexOf(message.kind)
  head.writeUInt32LE(message.from, 2)
  head.writeUInt32LE(message.to, 6)
  head.writeBigUInt64LE(BigInt(message.epoch), 10)
  head.writeBigUInt64LE(BigInt(message.counter), 18)
  head.set(message.seal, 26)
  return Buffer.concat([head, ...encodeBody(message)])
}

function encodeBody(body: TopicBody): Uint8Array[] {
  if (body.kind === 'bye') return []
  if (body.kind === 'hello') {
    const bytes = Buffer.alloc(2 + 12 * body.heard.length)
    bytes.writeUInt16LE(body.heard.length)
    for (const [place, { node, epoch }] of body.heard.entries()) {
      bytes.writeUInt32LE(node, 2 + 12 * place)
      bytes.writeBigUInt64LE(BigInt(epoch), 6 + 12 * place)
    }
    return [bytes]
  }
  const head = Buffer.alloc(body.kind === 'ack' ? 8 : 9)
  head.writeUInt32LE(body.stream)
  head.writeUInt32LE(body.kind === 'ack' ? body.next : body.sequence, 4)
  if (body.kind === 'ack') return [head]
  head[8] = body.fresh ? 1 : 0
  return [head, body.bytes]
}

/** @throws CloudError `core.ha.bad-message`, `core.ha.newer-version`. */
export function decodeTopicMessage(data: Uint8Array): TopicMessage {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.length)
  if (bytes.length > 0 && (bytes[0] as number) > version) {
    throw new CloudError('core.ha.newer-version', `a message of version ${bytes[0]} on the topic`)
  }
  const kind = kinds[bytes[1] ?? kinds.length]
  if (bytes.length < headBytes || bytes.length > maxTopicMessageBytes || bytes[0] !== version || kind === undefined) {
    throw bad()
  }
  const head = {
    from: bytes.readUInt32LE(2),
    to: bytes.readUInt32LE(6),
    epoch: Number(bytes.readBigUInt64LE(10)),
    counter: Number(bytes.readBigUInt64LE(18)),
    seal: bytes.subarray(26, 26 + sealBytes),
  }
  if (head.from === 0 || !Number.isSafeInteger(head.epoch) || !Number.isSafeInteger(head.counter)) throw bad()
  return { ...head, ...decodeBody(kind, bytes.subarray(headBytes)) }
}

function decodeBody(kind: TopicBody['kind'], bytes: Buffer): TopicBody {
  if (kind === 'bye') {
    if (bytes.length > 0) throw bad()
    return { kind }
  }
  if (kind === 'hello') {
    const count = bytes.length < 2 ? 0 : bytes.readUInt16LE(0)
    if (count > maxHeard || bytes.length !== 2 + 12 * count) throw bad()
    const heard = Array.from({ length: count }, (_, place) => ({
      node: bytes.readUInt32LE(2 + 12 * place),
      epoch: Number(bytes.readBigUInt64LE(6 + 12 * place)),
    }))
    return { kind, heard }
  }
  if (bytes.length < 8) throw bad()
  const stream = bytes.readUInt32LE(0)
  const place = bytes.readUInt32LE(4)
  if (kind === 'ack') {
    if (bytes.length !== 8) throw bad()
    return { kind, stream, next: place }
  }
  if (bytes.length < 9) throw bad()
  return { kind, stream, sequence: place, fresh: bytes[8] === 1, bytes: bytes.subarray(9) }
}

function bad(): CloudError {
  return new CloudError('core.ha.bad-message', 'bytes on the topic are no message')
}
