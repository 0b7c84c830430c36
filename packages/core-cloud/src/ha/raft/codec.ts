import { CloudError } from '../../kernel/errors.js'
import { maxMembers } from './membership.js'
import type { Entry, Membership, Message, NodeId, Proposal, SnapshotMark } from './types.js'

/*
 * Messages as bytes, numbers little-endian. A message is: type (1 byte), group (4), from (4), to (4), term (8), then the
 * fields of its type in the order of `types.ts`. Indexes and terms are eight bytes as two halves: exact up to 2^53 - 1.
 */

/** Largest encoded message: a full append and its surroundings. */
export const maxMessageBytes = 16 * 1024 * 1024

const types = [
  'vote',
  'pre-vote',
  'vote-reply',
  'pre-vote-reply',
  'append',
  'append-reply',
  'heartbeat',
  'heartbeat-reply',
  'snapshot',
  'propose',
  'read',
  'read-reply',
  'timeout-now',
  'transfer',
] as const satisfies readonly Message['type'][]
const typeCodes = new Map(types.map((type, code) => [type as string, code + 1]))
const entryKinds = ['command', 'membership', 'noop'] as const

const headBytes = 1 + 4 + 4 + 4 + 8

/** @throws CloudError `core.contract.payload-too-large`. */
export function encodeMessage(group: number, message: Message): Buffer {
  const bytes = headBytes + bodyBytes(message)
  if (bytes > maxMessageBytes) {
    throw new CloudError('core.contract.payload-too-large', `a ${message.type} message of ${bytes} bytes`)
  }
  const out = new Writer(Buffer.allocUnsafe(bytes))
  out.byte(typeCodes.get(message.type) as number)
  out.u32(group)
  out.u32(message.from)
  out.u32(message.to)
  out.number(message.term)
  writeBody(out, message)
  return out.buffer
}

/** @throws CloudError `core.ha.bad-message` for anything that {@link encodeMessage} does not write. */
export function decodeMessage(bytes: Buffer): { readonly group: number; readonly message: Message } {
  if (bytes.length > maxMessageBytes) throw corrupt('it is too long')
  const input = new Reader(bytes)
  const type = types[input.byte() - 1]
  if (type === undefined) throw corrupt('its type is unknown')
  const group = input.u32()
  const from = input.u32()
  const to = input.u32()
  const envelope = { from, to, term: input.number() }
  const message = readBody(input, type, envelope)
  if (input.left > 0) throw corrupt('something follows it')
  return { group, message }
}

// ---- writing

function bodyBytes(message: Message): number {
  switch (message.type) {
    case 'append':
      return 28 + message.entries.reduce((sum, { data }) => sum + 21 + data.length, 0)
    case 'propose':
      return 4 + message.entries.reduce((sum, { data }) => sum + 5 + data.length, 0)
    case 'snapshot':
      return 16 + membershipBytes(message.snapshot.membership)
    default:
      return fixedBytes[message.type]
  }
}

const fixedBytes = {
  vote: 33,
  'pre-vote': 33,
  'vote-reply': 17,
  'pre-vote-reply': 17,
  'append-reply': 25,
  heartbeat: 16,
  'heartbeat-reply': 8,
  read: 8,
  'read-reply': 16,
  'timeout-now': 0,
  transfer: 4,
} as const

function membershipBytes({ voters, outgoing, learners, learnersNext, witnesses }: Membership): number {
  const lists = [voters, outgoing, learners, learnersNext, witnesses]
  return 1 + lists.reduce((sum, list) => sum + 1 + 4 * list.length, 0)
}

function writeBody(out: Writer, message: Message): void {
  switch (message.type) {
    case 'vote':
    case 'pre-vote':
      out.numbers(message.lastIndex, message.lastTerm, message.commit, message.commitTerm)
      out.flag(message.force)
      return
    case 'vote-reply':
    case 'pre-vote-reply':
      out.numbers(message.commit, message.commitTerm)
      out.flag(message.granted)
      return
    case 'append':
      out.numbers(message.prevIndex, message.prevTerm, message.commit)
      out.u32(message.entries.length)
      for (const entry of message.entries) writeEntry(out, entry)
      return
    case 'append-reply':
      out.numbers(message.index, message.hintIndex, message.hintTerm)
      out.flag(message.rejected)
      return
    case 'heartbeat':
      out.numbers(message.commit, message.round)
      return
    case 'heartbeat-reply':
      out.number(message.round)
      return
    case 'snapshot':
      out.numbers(message.snapshot.index, message.snapshot.term)
      writeMembership(out, message.snapshot.membership)
      return
    case 'propose':
      out.u32(message.entries.length)
      for (const { kind, data } of message.entries) {
        out.byte(entryKinds.indexOf(kind))
        out.bytes(data)
      }
      return
    case 'read':
      out.number(message.read)
      return
    case 'read-reply':
      out.numbers(message.read, message.index)
      return
    case 'transfer':
      out.u32(message.target)
      return
    case 'timeout-now':
  }
}

function writeEntry(out: Writer, { index, term, kind, data }: Entry): void {
  out.numbers(index, term)
  out.byte(entryKinds.indexOf(kind))
  out.bytes(data)
}

function writeMembership(out: Writer, membership: Membership): void {
  const { voters, outgoing, learners, learnersNext, witnesses, autoLeave } = membership
  for (const list of [voters, outgoing, learners, learnersNext, witnesses]) {
    out.byte(list.length)
    for (const node of list) out.u32(node)
  }
  out.flag(autoLeave)
}

class Writer {
  #at = 0

  constructor(readonly buffer: Buffer) {}

  byte(value: number): void {
    this.#at = this.buffer.writeUInt8(value, this.#at)
  }

  flag(value: boolean): void {
    this.byte(value ? 1 : 0)
  }

  u32(value: number): void {
    this.#at = this.buffer.writeUInt32LE(value, this.#at)
  }

  number(value: number): void {
    this.u32(value % 0x1_0000_0000)
    this.u32(Math.floor(value / 0x1_0000_0000))
  }

  numbers(...values: readonly number[]): void {
    for (const value of values) this.number(value)
  }

  bytes(data: Uint8Array): void {
    this.u32(data.length)
    this.buffer.set(data, this.#at)
    this.#at += data.length
  }
}

// ---- reading

type Envelope = Pick<Message, 'from' | 'to' | 'term'>

function readBody(input: Reader, type: Message['type'], envelope: Envelope): Message {
  const number = (): number => input.number()
  switch (type) {
    case 'vote':
    case 'pre-vote':
      return {
        type,
        ...envelope,
        lastIndex: number(),
        lastTerm: number(),
        commit: number(),
        commitTerm: number(),
        force: input.flag(),
      }
    case 'vote-reply':
    case 'pre-vote-reply':
      return { type, ...envelope, commit: number(), commitTerm: number(), granted: input.flag() }
    case 'append':
      return readAppend(input, envelope)
    case 'append-reply': {
      const index = number()
      return { type, ...envelope, index, hintIndex: number(), hintTerm: number(), rejected: input.flag() }
    }
    case 'heartbeat':
      return { type, ...envelope, commit: number(), round: number() }
    case 'heartbeat-reply':
      return { type, ...envelope, round: number() }
    case 'snapshot':
      return { type, ...envelope, snapshot: readMark(input) }
    case 'propose':
      return { type, ...envelope, entries: input.list(5, () => readProposal(input)) }
    case 'read':
      return { type, ...envelope, read: number() }
    case 'read-reply':
      return { type, ...envelope, read: number(), index: number() }
    case 'timeout-now':
      return { type, ...envelope }
    case 'transfer':
      return { type, ...envelope, target: input.u32() }
  }
}

function readAppend(input: Reader, envelope: Envelope): Message {
  const prevIndex = input.number()
  const prevTerm = input.number()
  const commit = input.number()
  let expected = prevIndex + 1
  let term = prevTerm
  const entries = input.list(21, () => {
    const entry = { index: input.number(), term: input.number(), kind: readKind(input), data: input.bytes() }
    // A leader's log has neither gaps nor falling terms.
    if (entry.index !== expected || entry.term < term || entry.term > envelope.term)
      throw corrupt('its entries do not fit')
    expected += 1
    term = entry.term
    return entry
  })
  return { type: 'append', ...envelope, prevIndex, prevTerm, entries, commit }
}

function readProposal(input: Reader): Proposal {
  const kind = readKind(input)
  if (kind === 'noop') throw corrupt('it proposes nothing')
  return { kind, data: input.bytes() }
}

function readKind(input: Reader): Entry['kind'] {
  const kind = entryKinds[input.byte()]
  if (kind === undefined) throw corrupt('an entry of an unknown kind')
  return kind
}

function readMark(input: Reader): SnapshotMark {
  const index = input.number()
  const term = input.number()
  const nodes = (): readonly NodeId[] => {
    const count = input.byte()
    if (count > maxMembers) throw corrupt('too many members')
    return Array.from({ length: count }, () => input.u32())
  }
  const voters = nodes()
  const outgoing = nodes()
  const learners = nodes()
  const learnersNext = nodes()
  const witnesses = nodes()
  return { index, term, membership: { voters, outgoing, learners, learnersNext, witnesses, autoLeave: input.flag() } }
}

class Reader {
  #at = 0
  readonly #buffer: Buffer

  constructor(buffer: Buffer) {
    this.#buffer = buffer
  }

  get left(): number {
    return this.#buffer.length - this.#at
  }

  byte(): number {
    this.#need(1)
    return this.#buffer[this.#at++] as number
  }

  flag(): boolean {
    const value = this.byte()
    if (value > 1) throw corrupt('a flag that is none')
    return value === 1
  }

  u32(): number {
    this.#need(4)
    this.#at += 4
    return this.#buffer.readUInt32LE(this.#at - 4)
  }

  number(): number {
    const low = this.u32()
    const value = this.u32() * 0x1_0000_0000 + low
    if (value > Number.MAX_SAFE_INTEGER) throw corrupt('a number beyond 2^53')
    return value
  }

  /** A view of the bytes that were received. */
  bytes(): Uint8Array {
    const length = this.u32()
    this.#need(length)
    this.#at += length
    return this.#buffer.subarray(this.#at - length, this.#at)
  }

  /** @param least - bytes an item has at least: a count that cannot be true makes no list. */
  list<T>(least: number, item: () => T): T[] {
    const count = this.u32()
    if (count * least > this.left) throw corrupt('it ends too early')
    return Array.from({ length: count }, item)
  }

  #need(bytes: number): void {
    if (bytes > this.left) throw corrupt('it ends too early')
  }
}

function corrupt(reason: string): CloudError {
  return new CloudError('core.ha.bad-message', `a message between members is no message: ${reason}`)
}
