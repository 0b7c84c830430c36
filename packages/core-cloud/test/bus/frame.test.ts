import { seededRandom } from '@aaas/testing'
import { test } from 'tap'
import { FrameSplitter, FrameType, maxFrameBytes, ProtocolError, wireVersion } from '../../src/bus/frame.js'
import { type Greeting, readHubFrame, readPeerFrame } from '../../src/bus/frame-reader.js'
import { FrameWriter, hubLinkOver, peerLinkOver } from '../../src/bus/frame-writer.js'
import { decodeHeaders, encodeHeaders, isHeaderBlock } from '../../src/bus/headers.js'
import type { HubLink, PeerLink } from '../../src/bus/link.js'

type Call = readonly [string, ...unknown[]]

/** Bytes as arrays, so that calls compare. */
const shown = (value: unknown): unknown => (value instanceof Uint8Array ? [...value] : value)

/** Stands for either side of a link and notes what it was told. */
function recorder(): {
  readonly calls: Call[]
  readonly side: HubLink & PeerLink & Greeting & { hello(version: number, token: string): void }
} {
  const calls: Call[] = []
  const side = new Proxy({} as HubLink & PeerLink & Greeting & { hello(version: number, token: string): void }, {
    get:
      (_, name) =>
      (...args: unknown[]) =>
        void calls.push([String(name), ...args.map(shown)]),
  })
  return { calls, side }
}

/** Every frame of both directions once. */
function allFrames(): {
  readonly peer: Buffer
  readonly hub: Buffer
  readonly peerCalls: Call[]
  readonly hubCalls: Call[]
} {
  const headers = encodeHeaders({ trace: 'äöü', 'idempotency-key': 'k' })
  const payload = Buffer.from([0, 1, 255])
  const none = Buffer.alloc(0)
  const peerCalls: Call[] = [
    ['hello', wireVersion, 'tökén'],
    ['publish', 1, 'a.b', headers, payload],
    ['request', 0xffff_ffff, 1.7e12, 'x'.repeat(255), none, none, false],
    ['request', 7, 1.7e12 + 0.5, 'a', headers, payload, true],
    ['cancel', 3],
    ['subscribe', 4, 5, 'a.*.>', 'queue'],
    ['subscribe', 4, 6, '>', ''],
    ['unsubscribe', 6, 5],
    ['reply', 8, headers, payload],
    ['replyError', 9, 'core.bus.overloaded', 'tëxt'],
    ['flush', 10],
  ]
  const hubCalls: Call[] = [
    ['accepted', 1],
    ['answered', 2, 'site-1', headers, payload],
    ['answered', 2, '', none, none],
    ['failed', 3, 'core.bus.refused', 'warum — darum'],
    ['deliver', 4, 0, 0, '', 'a', none, payload],
    ['deliver', 4, 77, 1.7e12, 'n'.repeat(128), 'a.b', headers, none],
    ['cancelled', 5, 'core.contract.cancelled'],
  ]
  return { peer: written(peerCalls, hubLinkOver), hub: written(hubCalls, peerLinkOver), peerCalls, hubCalls }
}

function written(calls: readonly Call[], over: (writer: FrameWriter) => object): Buffer {
  const pieces: Uint8Array[] = []
  const writer = new FrameWriter(piece => void pieces.push(Buffer.from(piece)))
  const link = over(writer) as Record<string, (...args: unknown[]) => void>
  for (const [name, ...args] of calls) link[name]!(...args)
  writer.flush()
  return Buffer.concat(pieces)
}

test('what one side writes the other side reads', async t => {
  const { peer, hub, peerCalls, hubCalls } = allFrames()
  for (const [stream, calls, read] of [
    [peer, peerCalls, readPeerFrame],
    [hub, hubCalls, readHubFrame],
  ] as const) {
    const { calls: seen, side } = recorder()
    new FrameSplitter(maxFrameBytes).push(stream, frame => read(frame, side))
    t.same(
      seen,
      calls.map(call => call.map(shown)),
    )
  }
})

test('however the bytes are cut, the frames are the same', async t => {
  const { peer } = allFrames()
  const whole: string[] = []
  new FrameSplitter(maxFrameBytes).push(peer, frame => void whole.push(frame.toString('hex')))
  const random = seededRandom(7)
  for (let run = 0; run < 300; run++) {
    const splitter = new FrameSplitter(maxFrameBytes)
    const seen: string[] = []
    const longest = 1 + Math.floor(random() * (run % 3 === 0 ? 3 : 200))
    for (let at = 0; at < peer.length; ) {
      const end = Math.min(peer.length, at + 1 + Math.floor(random() * longest))
      splitter.push(peer.subarray(at, end), frame => void seen.push(frame.toString('hex')))
      at = end
    }
    if (seen.join() !== whole.join() || splitter.kept !== 0) t.fail(`run ${run} differs`)
  }
})

test('a length of 0 or above the limit is refused before anything of it is kept', async t => {
  const limit = 100
  const length = Buffer.alloc(4)
  const withLength = (value: number): Buffer => {
    length.writeUInt32BE(value)
    return Buffer.from(length)
  }
  for (const value of [0, limit + 1, 0xffff_ffff]) {
    for (const cut of [0, 1, 2, 3]) {
      const splitter = new FrameSplitter(limit)
      const bytes = withLength(value)
      t.throws(() => {
        if (cut > 0) splitter.push(bytes.subarray(0, cut), () => undefined)
        splitter.push(bytes.subarray(cut), () => undefined)
      }, ProtocolError)
      t.ok(splitter.kept <= 4)
    }
  }
  let seen = 0
  new FrameSplitter(limit).push(Buffer.concat([withLength(limit), Buffer.alloc(limit)]), () => void seen++)
  t.equal(seen, 1)
})

test('a frame that is too short or too long for its fields is refused', async t => {
  const { peer, hub } = allFrames()
  for (const [stream, read] of [
    [peer, readPeerFrame],
    [hub, readHubFrame],
  ] as const) {
    new FrameSplitter(maxFrameBytes).push(stream, frame => {
      const { side } = recorder()
      // Frames that end in a payload may be cut inside it: that is another payload, not a mistake.
      const open: readonly number[] = [
        FrameType.publish,
        FrameType.request,
        FrameType.requestMany,
        FrameType.reply,
        FrameType.answered,
        FrameType.deliver,
      ]
      if (open.includes(frame[0] ?? 0)) return
      for (let length = 1; length < frame.length; length++)
        t.throws(() => read(frame.subarray(0, length), side), ProtocolError)
      t.throws(() => read(Buffer.concat([frame, Buffer.from([0])]), side), ProtocolError)
    })
  }
})

test('200,000 mutated frames neither crash nor grow anything', async t => {
  const { peer, hub } = allFrames()
  const random = seededRandom(42)
  const sides = [
    { read: readPeerFrame, frames: split(peer) },
    { read: readHubFrame, frames: split(hub) },
  ]
  const { calls, side } = recorder()
  const before = process.memoryUsage().arrayBuffers
  let refused = 0
  let taken = 0
  for (let run = 0; run < 200_000; run++) {
    const { read, frames } = sides[run % 2]!
    const frame = mutate(frames[Math.floor(random() * frames.length)]!, random)
    try {
      read(frame, side)
      taken += 1
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      refused += 1
    }
    calls.length = 0
  }
  t.ok(refused > 20_000 && taken > 20_000, `both ways: ${refused} refused, ${taken} taken`)
  t.ok(process.memoryUsage().arrayBuffers - before < 64 * 1024 * 1024)
})

test('50,000 mutated streams never keep more than one frame', async t => {
  const { peer } = allFrames()
  const random = seededRandom(43)
  const limit = 2_048
  let most = 0
  for (let run = 0; run < 50_000; run++) {
    const splitter = new FrameSplitter(limit)
    const stream = mutate(peer, random)
    try {
      for (let at = 0; at < stream.length; at += 97) splitter.push(stream.subarray(at, at + 97), () => undefined)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
    }
    most = Math.max(most, splitter.kept)
  }
  t.ok(most <= limit + 4 + 97, `kept at most ${most}`)
})

test('a header block that is accepted can be read, and an own one is accepted', async t => {
  const random = seededRandom(44)
  const block = Buffer.from(encodeHeaders({ trace: 'x', tenant: 'é', 'a-1': '' }))
  t.ok(isHeaderBlock(block))
  for (let run = 0; run < 50_000; run++) {
    const mutated = mutate(block, random)
    if (!isHeaderBlock(mutated)) continue
    for (const [name, value] of Object.entries(decodeHeaders(mutated))) {
      t.match(name, /^[a-z0-9-]{1,64}$/)
      if (/[\r\n\0]/.test(value) || name.startsWith('aaas-')) t.fail(`let through ${name}: ${value}`)
    }
  }
  for (const bad of ['aaas-x', 'A', 'a b', '_']) {
    const forged = Buffer.from([bad.length, ...Buffer.from(bad), 0, 1, 65])
    t.notOk(isHeaderBlock(forged), bad)
  }
  for (const value of ['\n', '\r', '\0']) t.notOk(isHeaderBlock(Buffer.from([1, 97, 0, 1, value.charCodeAt(0)])))
})

function split(stream: Buffer): Buffer[] {
  const frames: Buffer[] = []
  new FrameSplitter(maxFrameBytes).push(stream, frame => void frames.push(frame))
  return frames
}

/** One to four changes: a byte, a cut, bytes put in. */
function mutate(original: Buffer, random: () => number): Buffer {
  let bytes = Buffer.from(original)
  const changes = 1 + Math.floor(random() * 4)
  for (let change = 0; change < changes; change++) {
    const at = Math.floor(random() * bytes.length)
    const kind = random()
    if (kind < 0.7 && bytes.length > 0) bytes[at] = Math.floor(random() * 256)
    else if (kind < 0.85) bytes = bytes.subarray(0, Math.max(1, at))
    else bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from([Math.floor(random() * 256)]), bytes.subarray(at)])
  }
  return bytes
}
