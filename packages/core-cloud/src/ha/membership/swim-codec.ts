import { CloudError } from '../../kernel/errors.js'
import type { MemberHealth, MemberNews, SwimMessage } from './swim-types.js'

/*
 * Numbers little-endian: type (1), sequence (4), target (4), count of news (1), then each: node (4), health (1), by (4),
 * incarnation (8, at most 2^53 - 1).
 */
const types = ['ping', 'probe', 'ack', 'no-answer'] as const satisfies readonly SwimMessage['type'][]
const healths = ['alive', 'suspect', 'dead'] as const satisfies readonly MemberHealth[]
const headBytes = 10
const newsBytes = 17
/** News that one message may bring. */
const maxNews = 32

export function encodeSwim({ type, sequence, target, news }: SwimMessage): Buffer {
  const bytes = Buffer.allocUnsafe(headBytes + newsBytes * news.length)
  bytes[0] = types.indexOf(type)
  bytes.writeUInt32LE(sequence, 1)
  bytes.writeUInt32LE(target, 5)
  bytes[9] = news.length
  for (const [place, { node, health, by, incarnation }] of news.entries()) {
    const at = headBytes + place * newsBytes
    bytes.writeUInt32LE(node, at)
    bytes[at + 4] = healths.indexOf(health)
    bytes.writeUInt32LE(by, at + 5)
    bytes.writeBigUInt64LE(BigInt(incarnation), at + 9)
  }
  return bytes
}

/** @throws CloudError `core.ha.bad-message` for anything that {@link encodeSwim} does not write. */
export function decodeSwim(frame: Uint8Array): SwimMessage {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.length)
  const count = bytes[9] ?? 0
  const type = types[bytes[0] ?? types.length]
  if (type === undefined || count > maxNews || bytes.length !== headBytes + count * newsBytes) throw bad()
  const news: MemberNews[] = []
  for (let at = headBytes; at < bytes.length; at += newsBytes) {
    const health = healths[bytes[at + 4] as number]
    const node = bytes.readUInt32LE(at)
    const incarnation = Number(bytes.readBigUInt64LE(at + 9))
    if (health === undefined || node === 0 || !Number.isSafeInteger(incarnation)) throw bad()
    news.push({ node, health, by: bytes.readUInt32LE(at + 5), incarnation })
  }
  return { type, sequence: bytes.readUInt32LE(1), target: bytes.readUInt32LE(5), news }
}

function bad(): CloudError {
  return new CloudError('core.ha.bad-message', 'bytes between failure detectors are no message')
}
