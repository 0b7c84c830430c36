import fc from 'fast-check'
import { test } from 'tap'
import type { Entry } from '../../src/ha/raft/types.js'
import {
  type Chain,
  maxRecordBytes,
  RecordBuffer,
  RecordType,
  readRecord,
  recordSpan,
} from '../../src/ha/wal/record.js'
import { encodeMark, RecordError, readMark, readWork, workBytes, writeWork } from '../../src/ha/wal/record-body.js'
import { Damage, scanSegment } from '../../src/ha/wal/scan.js'
import { memoryFiles } from '../../src/kernel/files/memory-files.js'

const number = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
const node = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const nodes = fc.array(node, { maxLength: 5 })
const membership = fc.record({
  voters: nodes,
  outgoing: nodes,
  learners: nodes,
  learnersNext: nodes,
  witnesses: nodes,
  autoLeave: fc.boolean(),
})
const hexadecimal = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(bytes => Buffer.from(bytes).toString('hex'))
const mark = fc.record({
  mark: fc.record({ index: number, term: number, membership }),
  state: fc.option(fc.record({ bytes: number, sha256: hexadecimal }), { nil: undefined }),
})
const entries = fc
  .tuple(
    fc.integer({ min: 1, max: 2 ** 50 }),
    fc.array(
      fc.record({
        term: number,
        kind: fc.constantFrom('command', 'membership', 'noop'),
        data: fc.uint8Array({ maxLength: 40 }).map(bytes => Buffer.from(bytes)),
      }),
      { maxLength: 6 },
    ),
  )
  .map(([first, list]): Entry[] => list.map((entry, at) => ({ index: first + at, ...entry })))
const work = fc.record({
  hardState: fc.option(fc.record({ term: number, vote: node, commit: number }), { nil: undefined }),
  mark: fc.option(mark, { nil: undefined }),
  entries,
})

type Work = typeof work extends fc.Arbitrary<infer T> ? T : never

function encoded(value: Work): Buffer {
  const text = value.mark === undefined ? Buffer.alloc(0) : encodeMark(value.mark)
  const body = Buffer.alloc(workBytes(value, text))
  writeWork(body, 0, value, text)
  return body
}

test('a work is read as it was written', async t => {
  fc.assert(
    fc.property(work, value => {
      t.same(readWork(encoded(value)), value)
    }),
    { numRuns: 300 },
  )
  fc.assert(
    fc.property(mark, value => {
      t.same(readMark(encodeMark(value)), value)
    }),
    { numRuns: 100 },
  )
})

test('bytes that are no work are refused by name', async t => {
  fc.assert(
    fc.property(work, fc.nat(), fc.integer({ min: 0, max: 255 }), (value, place, byte) => {
      const body = encoded(value)
      body[place % body.length] = byte
      for (const bytes of [body, body.subarray(0, place % body.length)]) {
        try {
          readWork(bytes)
        } catch (error) {
          if (!(error instanceof RecordError)) throw error
        }
      }
    }),
    { numRuns: 2_000 },
  )
  t.throws(() => readWork(Buffer.alloc(0)), RecordError)
})

const salt = 77
const chain: Chain = { previous: 5, write: 9 }

function sealed(bodies: readonly Buffer[], place = 0, from = chain): Buffer {
  const buffer = new RecordBuffer(0)
  for (const body of bodies) buffer.put(RecordType.work, 3, body)
  buffer.seal(place, salt, from, true)
  return Buffer.from(buffer.view())
}

test('a record is good at its place, and no bit of it can change', async t => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(1_000), (body, eighths) => {
      const place = eighths * 8
      const bytes = sealed([Buffer.from(body)], place)
      const record = readRecord(bytes, 0, place, salt)
      if (typeof record === 'string') throw new Error(record)
      t.equal(Buffer.compare(record.body, body), 0)
      t.match(record, { type: RecordType.work, group: 3, write: 10, previous: 5, last: true, end: bytes.length })
      t.equal(readRecord(bytes, 0, place + 8, salt), 'checksum', 'at another place')
      t.equal(readRecord(bytes, 0, place, salt + 1), 'checksum', 'in another segment')
    }),
    { numRuns: 100 },
  )
  const bytes = sealed([Buffer.from('a record')])
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    bytes[bit >>> 3] = (bytes[bit >>> 3] as number) ^ (1 << (bit & 7))
    t.type(readRecord(bytes, 0, 0, salt), 'string', `bit ${bit}`)
    if (bit < 32) t.equal(recordSpan(bytes, 0), 'length', `bit ${bit} of the length`)
    bytes[bit >>> 3] = (bytes[bit >>> 3] as number) ^ (1 << (bit & 7))
  }
})

test('a record has at most 64 MiB', async t => {
  const room = maxRecordBytes - 24
  t.throws(() => new RecordBuffer(0).add(RecordType.work, 1, room + 1), RangeError)
  const buffer = new RecordBuffer(0)
  buffer.add(RecordType.work, 1, room)
  buffer.seal(0, salt, chain, true)
  t.type(readRecord(buffer.view(), 0, 0, salt), 'object')
})

test('a good record that does not belong behind the one before is damage', async t => {
  const first = sealed([Buffer.from('one')])
  const after = readRecord(first, 0, 0, salt)
  if (typeof after === 'string') throw new Error(after)
  const scan = async (second: Buffer): Promise<number> => {
    const file = await (await memoryFiles().folder('log')).open('segment')
    await file.write([first, second, Buffer.alloc(64)], 0)
    const scanned = await scanSegment({ file, size: file.size, salt, start: 0, chain, end: undefined }, () => undefined)
    return scanned.records
  }
  const behind = { previous: after.checksum, write: 10 }
  t.equal(await scan(sealed([Buffer.from('two')], first.length, behind)), 2)
  const stranger = sealed([Buffer.from('two')], first.length, { ...behind, previous: after.checksum + 1 })
  await t.rejects(scan(stranger), Damage)
  await t.rejects(scan(sealed([Buffer.from('two')], first.length, { ...behind, write: 11 })), Damage)
})
