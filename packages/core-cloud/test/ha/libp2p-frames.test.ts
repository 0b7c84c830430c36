import assert from 'node:assert/strict'
import fc from 'fast-check'
import { test } from 'tap'
import { FrameDecoder, frameHead, signOfLife } from '../../src/ha/libp2p/frame-decoder.js'
import { decodeTopicMessage, encodeTopicMessage, type TopicMessage } from '../../src/ha/libp2p/topic-codec.js'

/** Everything as one stream of bytes, cut at the given places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map(place => place % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...at].map((start, index) => bytes.subarray(start, at[index] ?? bytes.length))
}

const frames = fc.array(fc.uint8Array({ maxLength: 9_000 }), { maxLength: 12 })

test('frames come out as they went in, wherever the stream is cut', async () => {
  fc.assert(
    fc.property(frames, fc.array(fc.nat(), { maxLength: 40 }), (sent, places) => {
      const got: Buffer[] = []
      const decoder = new FrameDecoder({ maxFrameBytes: 9_000, onFrame: frame => got.push(frame) })
      const stream = Buffer.concat(sent.flatMap(frame => [frameHead(frame.length), frame, signOfLife]))
      for (const chunk of cut(stream, places)) decoder.push(chunk)
      assert.deepEqual(
        got.map(frame => frame.toString('hex')),
        sent.map(frame => Buffer.from(frame).toString('hex')),
      )
      assert.equal(decoder.heldBytes, 0)
    }),
  )
})

test('whatever comes, no more is held than the limit, and than twice what has come', async () => {
  const limit = 100_000
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 3_000 }), { maxLength: 60 }), chunks => {
      const decoder = new FrameDecoder({ maxFrameBytes: limit, onFrame: () => undefined })
      let come = 0
      try {
        for (const chunk of chunks) {
          decoder.push(chunk)
          come += chunk.length
          assert(decoder.heldBytes <= limit)
          assert(decoder.heldBytes <= Math.max(4_096, 2 * come))
        }
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'core.contract.payload-too-large')
      }
    }),
    { numRuns: 500 },
  )
})

test('a large frame that is announced costs nothing until it comes; single bytes cost no more than large pieces', async () => {
  const limit = 32 * 1024 * 1024
  let whole = 0
  const decoder = new FrameDecoder({ maxFrameBytes: limit, onFrame: frame => (whole = frame.length) })
  decoder.push(frameHead(200_000))
  decoder.push(Buffer.from('x'))
  assert(decoder.heldBytes <= 4_096)
  for (let count = 1; count < 200_000; count++) decoder.push(Buffer.of(1))
  assert.equal(whole, 200_000)
})

test('a frame of the limit passes, one more byte ends the stream', async () => {
  const got: number[] = []
  const decoder = new FrameDecoder({ maxFrameBytes: 1_000, onFrame: frame => got.push(frame.length) })
  decoder.push(Buffer.concat([frameHead(1_000), Buffer.alloc(1_000)]))
  assert.deepEqual(got, [1_000])
  assert.throws(() => decoder.push(frameHead(1_001)), { code: 'core.contract.payload-too-large' })
})

const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const head = {
  from: fc.integer({ min: 1, max: 0xffff_ffff }),
  to: u32,
  epoch: fc.maxSafeNat(),
  counter: fc.maxSafeNat(),
  seal: fc.uint8Array({ minLength: 32, maxLength: 32 }),
}
const record = { noNullPrototype: true } as const
const message: fc.Arbitrary<TopicMessage> = fc.oneof(
  fc.record({ ...head, kind: fc.constant('bye' as const) }, record),
  fc.record({ ...head, kind: fc.constant('ack' as const), stream: u32, next: u32 }, record),
  fc.record(
    {
      ...head,
      kind: fc.constant('hello' as const),
      heard: fc.array(fc.record({ node: u32, epoch: fc.maxSafeNat() }, record), { maxLength: 20 }),
    },
    record,
  ),
  fc.record(
    {
      ...head,
      kind: fc.constant('segment' as const),
      stream: u32,
      sequence: u32,
      fresh: fc.boolean(),
      bytes: fc.uint8Array({ maxLength: 500 }),
    },
    record,
  ),
)

test('every message on a topic comes back from its bytes', async () => {
  const plain = (value: TopicMessage): unknown =>
    JSON.parse(JSON.stringify(value, (_, part) => (part instanceof Uint8Array ? Array.from(part) : part)))
  fc.assert(
    fc.property(message, sent => {
      const got = decodeTopicMessage(encodeTopicMessage(sent))
      const bytes = got.kind === 'segment' ? { bytes: Uint8Array.from(got.bytes) } : {}
      assert.deepEqual(plain({ ...got, seal: Uint8Array.from(got.seal), ...bytes } as TopicMessage), plain(sent))
    }),
  )
})

test('bytes on a topic that are no message are refused', async () => {
  const codes = new Set(['core.ha.bad-message', 'core.ha.newer-version'])
  fc.assert(
    fc.property(message, fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 4 }), (sent, place, noise) => {
      const bytes = encodeTopicMessage(sent)
      bytes.set(noise.subarray(0, bytes.length), place % Math.max(1, bytes.length - 4))
      try {
        decodeTopicMessage(bytes.subarray(0, bytes.length - (place % 3)))
      } catch (error) {
        assert(codes.has((error as { code: string }).code), String(error))
      }
    }),
  )
})
