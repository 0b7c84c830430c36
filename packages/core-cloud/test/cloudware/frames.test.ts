import fc from 'fast-check'
import { test } from 'tap'
import { encodeFrame, FrameReader, FrameWriter, maxFrameBytes, type PackageFrame } from '../../src/cloudware/frames.js'

test('frames survive any cutting of the stream', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.jsonValue(), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 }),
      (values, cuts) => {
        const frames = values.map((value, index): PackageFrame => ({ t: 'result', id: index + 1, value }))
        const bytes = Buffer.concat(frames.map(encodeFrame))
        const reader = new FrameReader()
        const read: unknown[] = []
        for (let at = 0, n = 0; at < bytes.length; n++) {
          const size = cuts[n % cuts.length] ?? 1
          read.push(...reader.read(bytes.subarray(at, at + size)))
          at += size
        }
        return JSON.stringify(read) === JSON.stringify(frames)
      },
    ),
    { numRuns: 300 },
  )
})

test('a frame of the largest size is read in small pieces, one byte more is refused before it arrives', async t => {
  const empty = encodeFrame({ t: 'result', id: 1, value: '' }).length - 4
  const largest = encodeFrame({ t: 'result', id: 1, value: 'x'.repeat(maxFrameBytes - empty) })
  const reader = new FrameReader()
  const read: unknown[] = []
  for (let at = 0; at < largest.length; at += 1_000) read.push(...reader.read(largest.subarray(at, at + 1_000)))
  t.equal(read.length, 1)
  const tooLarge = Buffer.alloc(4)
  tooLarge.writeUInt32BE(maxFrameBytes + 1)
  t.throws(() => new FrameReader().read(tooLarge), RangeError)
  t.throws(() => new FrameReader().read(Buffer.from([0, 0, 0, 1, 0x7b])), SyntaxError)
})

test('frames of one turn leave together, in order', async t => {
  const written: Buffer[] = []
  const writer = new FrameWriter(bytes => written.push(bytes))
  for (const text of ['a', 'b', 'c']) writer.send(Buffer.from(text))
  await Promise.resolve()
  writer.send(Buffer.from('d'))
  await Promise.resolve()
  t.same(written.map(String), ['abc', 'd'])
})
