import fc from 'fast-check'
import { test } from 'tap'
import { decodeHeaders, encodeHeaders } from '../../../src/bus/headers.js'
import {
  callBytes,
  cancelRecord,
  failureRecord,
  isRecord,
  publishRecord,
  RecordError,
  RecordKind,
  RecordReader,
  replyBytes,
  writeCall,
  writeReply,
} from '../../../src/bus/nats/records.js'

const call = (id: number, deadline: number, name: string, payload: Uint8Array): Buffer => {
  const headers = encodeHeaders({ name })
  const record = Buffer.alloc(callBytes + headers.length + payload.length)
  writeCall(record, 0, id, deadline, headers, payload)
  return record
}

test('records come back as they were written, several in one message', async t => {
  const id = fc.integer({ min: 0, max: 0xffff_ffff })
  const one = fc.record({
    id,
    deadline: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
    name: fc.string().map(value => value.replace(/[\r\n\0]/g, '')),
    payload: fc.uint8Array({ maxLength: 200 }),
  })
  fc.assert(
    fc.property(fc.array(one, { minLength: 1, maxLength: 8 }), calls => {
      const message = Buffer.concat(calls.map(each => call(each.id, each.deadline, each.name, each.payload)))
      if (!isRecord(message)) return false
      const reader = new RecordReader()
      reader.start(message)
      const same = calls.every(
        each =>
          reader.next() === RecordKind.call &&
          reader.id === each.id &&
          reader.deadline === each.deadline &&
          decodeHeaders(reader.headers).name === each.name &&
          Buffer.compare(Buffer.from(reader.payload), Buffer.from(each.payload)) === 0,
      )
      return same && reader.next() === 0
    }),
  )
  const reader = new RecordReader()
  const reply = Buffer.alloc(replyBytes + 1)
  writeReply(reply, 0, 7, 9, Buffer.alloc(0), Uint8Array.of(5))
  const failure = failureRecord(8, 9, { final: true, code: 'core.bus.overloaded', text: 'é' })
  reader.start(Buffer.concat([reply, failure, cancelRecord(3, '_INBOX.x'), publishRecord(Buffer.alloc(0), reply)]))
  t.equal(reader.next(), RecordKind.reply)
  t.same([reader.id, reader.worker, [...reader.payload]], [7, 9, [5]])
  t.equal(reader.next(), RecordKind.failure)
  t.same([reader.id, reader.final, reader.code, reader.text], [8, true, 'core.bus.overloaded', 'é'])
  t.equal(reader.next(), RecordKind.cancel)
  t.same([reader.id, reader.inbox], [3, '_INBOX.x'])
  t.equal(reader.next(), RecordKind.publish)
  t.equal(reader.payload.length, reply.length)
})

test('no text of a plain client begins like a record', async () => {
  fc.assert(fc.property(fc.string(), value => !isRecord(Buffer.from(value))))
})

test('changed and cut messages are read or refused, never anything else', async t => {
  const whole = Buffer.concat([
    call(1, 2, 'n', Buffer.alloc(30, 1)),
    failureRecord(8, 9, { final: false, code: 'a.b', text: 'text' }),
    cancelRecord(3, '_INBOX.x'),
    publishRecord(encodeHeaders({ h: 'v' }), Buffer.alloc(10)),
  ])
  const reader = new RecordReader()
  let read = 0
  let refused = 0
  let seed = 12345
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fff_ffff
    return seed % below
  }
  for (let round = 0; round < 200_000; round++) {
    const bytes = Buffer.from(whole.subarray(0, round % 3 === 0 ? random(whole.length + 1) : whole.length))
    for (let change = random(4); change > 0 && bytes.length > 0; change--) bytes[random(bytes.length)] = random(256)
    try {
      reader.start(bytes)
      for (let kind = reader.next(); kind !== 0; kind = reader.next()) {
        const carries = kind === RecordKind.call || kind === RecordKind.publish || kind === RecordKind.reply
        if (carries && reader.payload.length > bytes.length) t.fail('a payload longer than its message')
      }
      read += 1
    } catch (error) {
      if (!(error instanceof RecordError)) throw error
      refused += 1
    }
  }
  t.ok(read > 1_000 && refused > 1_000, `${read} read, ${refused} refused`)
})
