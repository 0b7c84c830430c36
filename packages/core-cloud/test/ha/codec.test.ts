import assert from 'node:assert/strict'
import { CloudError } from '@aaas/core-cloud/kernel'
import { seededRandom } from '@aaas/testing'
import { test } from 'tap'
import { decodeMessage, encodeMessage, maxMessageBytes } from '../../src/ha/raft/codec.js'
import { encodeChange } from '../../src/ha/raft/membership.js'
import type { Message } from '../../src/ha/raft/types.js'

const large = Number.MAX_SAFE_INTEGER
const envelope = { from: 1, to: 0xffff_ffff, term: 7 }
const news = { commit: 3, commitTerm: 2 }
const membership = { voters: [1, 2], outgoing: [1], learners: [9], learnersNext: [], witnesses: [2], autoLeave: true }
const change = encodeChange({ changes: [{ kind: 'remove', node: 2 }], transition: 'auto' })
const messages: readonly Message[] = [
  { type: 'vote', ...envelope, lastIndex: large, lastTerm: 6, force: true, ...news },
  { type: 'pre-vote', ...envelope, lastIndex: 0, lastTerm: 0, force: false, ...news },
  { type: 'vote-reply', ...envelope, granted: true, ...news },
  { type: 'pre-vote-reply', ...envelope, granted: false, ...news },
  {
    type: 'append',
    ...envelope,
    prevIndex: 5,
    prevTerm: 4,
    commit: 5,
    entries: [
      { index: 6, term: 4, kind: 'command', data: Buffer.from('x') },
      { index: 7, term: 7, kind: 'noop', data: Buffer.alloc(0) },
      { index: 8, term: 7, kind: 'membership', data: change },
    ],
  },
  { type: 'append-reply', ...envelope, index: 8, rejected: true, hintIndex: 5, hintTerm: 4 },
  { type: 'heartbeat', ...envelope, commit: 8, round: 2 ** 40 },
  { type: 'heartbeat-reply', ...envelope, round: 1 },
  { type: 'snapshot', ...envelope, snapshot: { index: 100, term: 6, membership } },
  { type: 'propose', ...envelope, term: 0, entries: [{ kind: 'command', data: Buffer.from('yz') }] },
  { type: 'read', ...envelope, term: 0, read: 12 },
  { type: 'read-reply', ...envelope, read: 12, index: 8 },
  { type: 'timeout-now', ...envelope },
  { type: 'transfer', ...envelope, term: 0, target: 3 },
]

const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_key, part) => (part instanceof Uint8Array ? [...part] : part)))

test('every message comes back as it was', async () => {
  for (const message of messages) {
    const { group, message: read } = decodeMessage(encodeMessage(42, message))
    assert.equal(group, 42)
    assert.deepEqual(plain(read), plain(message))
  }
})

test('a message that is too long is refused on the way out', async () => {
  const data = Buffer.alloc(maxMessageBytes)
  const message: Message = { type: 'propose', ...envelope, term: 0, entries: [{ kind: 'command', data }] }
  assert.throws(() => encodeMessage(1, message), { code: 'core.contract.payload-too-large' })
})

test('300,000 damaged messages: each is read or refused by name, and none takes more memory than it has', async () => {
  const random = seededRandom(11)
  const pick = (below: number): number => Math.floor(random() * below)
  const encoded = messages.map(message => encodeMessage(1, message))
  let refused = 0
  for (let round = 0; round < 300_000; round++) {
    const source = encoded[pick(encoded.length)] as Buffer
    let bytes = Buffer.from(source)
    for (let edits = 1 + pick(3); edits > 0; edits--) {
      const kind = pick(4)
      if (kind === 0) bytes[pick(bytes.length)] = pick(256)
      else if (kind === 1) bytes = bytes.subarray(0, pick(bytes.length + 1))
      else if (kind === 2) bytes = Buffer.concat([bytes, source.subarray(0, pick(8))])
      else if (bytes.length >= 4) bytes.writeUInt32LE(0xffff_fff0 + pick(16), pick(bytes.length - 3))
      if (bytes.length === 0) break
    }
    try {
      const { message } = decodeMessage(bytes)
      // What is accepted means something: it is written as it was read.
      assert.deepEqual(encodeMessage(1, message).length, bytes.length)
    } catch (error) {
      if (!CloudError.is(error, 'core.ha.bad-message')) throw error
      refused += 1
    }
  }
  assert(refused > 100_000)
})
