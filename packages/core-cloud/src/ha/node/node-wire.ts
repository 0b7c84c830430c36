import type { GroupId } from '../storage.js'
import { ByteReader, malformed } from './byte-reader.js'
import { ByteWriter } from './byte-writer.js'

/*
 * A frame between nodes: version (1 byte), count (4), the length of each item (4 each), the items. An item whose first
 * byte is below 128 is a message of Raft; the others are the driver's own.
 */

const version = 1

const codes = { forward: 128, refused: 129, ask: 130, told: 131 } as const

/** Why a forwarded batch was not taken. */
const refusals = ['no-leader', 'not-member', 'transferring', 'overloaded', 'membership-pending', 'invalid'] as const

export type DriverItem =
  /** Commands that a follower passes to the leader. */
  | { readonly kind: 'forward'; readonly group: GroupId; readonly commands: readonly Uint8Array[] }
  /** Commands of a forward that are in no log: `reason` is one of `refusals` below. */
  | {
      readonly kind: 'refused'
      readonly group: GroupId
      readonly reason: (typeof refusals)[number]
      readonly session: number
      readonly sequences: readonly number[]
    }
  /** A change of membership for the leader, as JSON, and its outcome. */
  | { readonly kind: 'ask' | 'told'; readonly group: GroupId; readonly id: number; readonly body: string }

export function encodeFrame(items: readonly Uint8Array[]): readonly Uint8Array[] {
  const head = Buffer.allocUnsafe(5 + 4 * items.length)
  head[0] = version
  head.writeUInt32LE(items.length, 1)
  for (const [place, item] of items.entries()) head.writeUInt32LE(item.length, 5 + 4 * place)
  return [head, ...items]
}

/** @throws CloudError `core.ha.bad-message`. */
export function decodeFrame(frame: Uint8Array): readonly Buffer[] {
  const input = new ByteReader(frame)
  const found = input.byte()
  if (found !== version) throw malformed(`version ${found}; this node speaks ${version}`)
  const count = input.count(4)
  const lengths = Array.from({ length: count }, () => input.u32())
  const items = lengths.map(length => input.take(length))
  input.end()
  return items
}

export function isDriverItem(item: Buffer): boolean {
  return (item[0] as number) >= 128
}

export function encodeItem(item: DriverItem): Buffer {
  const out = new ByteWriter().byte(codes[item.kind]).u32(item.group)
  if (item.kind === 'forward') {
    out.u32(item.commands.length)
    for (const command of item.commands) out.bytes(command)
  } else if (item.kind === 'refused') {
    out.byte(refusals.indexOf(item.reason)).number(item.session).u32(item.sequences.length)
    for (const sequence of item.sequences) out.number(sequence)
  } else out.u32(item.id).bytes(Buffer.from(item.body))
  return out.done()
}

/** @throws CloudError `core.ha.bad-message`. */
export function decodeItem(bytes: Buffer): DriverItem {
  const input = new ByteReader(bytes)
  const code = input.byte()
  const group = input.u32()
  const item = readItem(input, code, group)
  input.end()
  return item
}

function readItem(input: ByteReader, code: number, group: GroupId): DriverItem {
  switch (code) {
    case codes.forward:
      return { kind: 'forward', group, commands: Array.from({ length: input.count(4) }, () => input.bytes()) }
    case codes.refused: {
      const reason = refusals[input.byte()]
      if (reason === undefined) throw malformed('an unknown refusal')
      const session = input.number()
      const sequences = Array.from({ length: input.count(8) }, () => input.number())
      return { kind: 'refused', group, reason, session, sequences }
    }
    case codes.ask:
    case codes.told: {
      const kind = code === codes.ask ? 'ask' : 'told'
      return { kind, group, id: input.u32(), body: input.bytes().toString('utf8') }
    }
    default:
      throw malformed(`an item of kind ${code}`)
  }
}
