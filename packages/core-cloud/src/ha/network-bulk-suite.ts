import assert from 'node:assert/strict'
import type { HaNetwork } from './network.js'
import type { OnNetworks } from './network-suite-world.js'

/** The part of the suite of networks that is about bulk transfers. */
export function networkBulkSuite(on: OnNetworks): void {
  bulkSuite(on)
  bulkFlowSuite(on)
  bulkEndSuite(on)
}

function bulkSuite(on: OnNetworks): void {
  on('something large arrives beside the frames', async ({ near, far }) => {
    const got = collector(far, 0)
    await near.sendBulk(2, Buffer.from('a header'), () => chunks(40, 256 * 1024), never())
    assert.equal(got.header, '1 a header')
    assert.equal(got.bytes, 40 * 256 * 1024)
    assert(got.sound && got.ended)
  })

  on('it goes on where the receiver wants it', async ({ near, far }) => {
    const got = collector(far, 3)
    const asked: number[] = []
    await near.sendBulk(
      2,
      Buffer.from('h'),
      offset => {
        asked.push(offset)
        return chunks(5, 1, offset)
      },
      never(),
    )
    assert.deepEqual(asked, [3])
    assert.equal(got.bytes, 2)
  })

  on('nothing at all can be sent, too', async ({ near, far }) => {
    const got = collector(far, 0)
    await near.sendBulk(2, Buffer.from(''), () => chunks(0, 1), never())
    assert.deepEqual([got.header, got.bytes, got.ended], ['1 ', 0, true])
  })
}

function bulkFlowSuite(on: OnNetworks): void {
  on('a slow receiver holds up the sender, and not the frames', async ({ near, far, until, fixture }) => {
    let release: () => void = () => undefined
    const gate = new Promise<void>(resolve => {
      release = resolve
    })
    far.onBulk(async () => ({
      offset: 0,
      async take(body) {
        for await (const _ of body) await gate
      },
    }))
    let given = 0
    const chunk = Buffer.alloc(256 * 1024)
    async function* body(): AsyncIterable<Uint8Array> {
      for (; given < 400; given++) yield chunk
    }
    const sending = near.sendBulk(2, Buffer.from('h'), body, never())
    let heard = 0
    far.onFrame(() => {
      heard += 1
    })
    for (let turn = 0; turn < 30; turn++) await fixture.pause()
    assert(near.send(2, [Buffer.from('past it')]))
    await until('the frame passes', () => heard === 1)
    assert(given < 150, `${given} of 400 chunks were taken although nobody reads`)
    release()
    await sending
    assert.equal(given, 400)
  })

  on('two at once do not mix', async ({ near, far }) => {
    const sums: number[] = []
    far.onBulk(async (_, header) => ({
      offset: 0,
      async take(body) {
        const mark = header[0] as number
        let bytes = 0
        for await (const chunk of body) {
          assert(chunk.every(byte => byte === mark))
          bytes += chunk.length
        }
        sums.push(bytes)
      },
    }))
    async function* all(mark: number): AsyncIterable<Uint8Array> {
      for (let count = 0; count < 20; count++) yield Buffer.alloc(50_000, mark)
    }
    await Promise.all([1, 2].map(mark => near.sendBulk(2, Uint8Array.of(mark), () => all(mark), never())))
    assert.deepEqual(sums, [1_000_000, 1_000_000])
  })
}

function bulkEndSuite(on: OnNetworks): void {
  on('who refuses, or fails in between, is heard by the sender', async ({ near, far }) => {
    far.onBulk(async () => {
      throw new Error('not here')
    })
    await assert.rejects(
      near.sendBulk(2, Buffer.from('h'), () => chunks(1, 1), never()),
      {
        code: 'core.ha.unavailable',
      },
    )
    far.onBulk(async () => ({
      offset: 0,
      async take(body) {
        for await (const _ of body) throw new Error('disk full')
      },
    }))
    await assert.rejects(
      near.sendBulk(2, Buffer.from('h'), () => chunks(400, 256 * 1024), never()),
      {
        code: 'core.ha.unavailable',
      },
    )
  })

  on('a sender that fails is heard by the receiver', async ({ near, far, until }) => {
    const got = collector(far, 0)
    async function* broken(): AsyncIterable<Uint8Array> {
      yield Uint8Array.of(0)
      throw new Error('cannot read')
    }
    await assert.rejects(near.sendBulk(2, Buffer.from('h'), broken, never()))
    await until('the receiver knows', () => got.failed)
    assert.equal(got.ended, false)
  })

  on('a sender that gives up ends it on both sides', async ({ near, far, until }) => {
    const got = collector(far, 0)
    const over = new AbortController()
    const reason = new Error('enough')
    const sending = near.sendBulk(2, Buffer.from('h'), hanging, over.signal)
    await until('it has begun', () => got.bytes > 0)
    over.abort(reason)
    await assert.rejects(sending, reason)
    await until('the receiver knows', () => got.failed)
  })

  on('a peer that goes ends it', async ({ near, far, until }) => {
    const got = collector(far, 0)
    const sending = near.sendBulk(2, Buffer.from('h'), hanging, never())
    sending.catch(() => undefined)
    await until('it has begun', () => got.bytes > 0)
    await far.close()
    await assert.rejects(sending, { code: 'core.ha.unavailable' })
    await until('the receiver knows', () => got.failed)
  })

  on('nobody is there: nothing is sent', async ({ near }) => {
    await assert.rejects(
      near.sendBulk(77, Buffer.from('h'), () => chunks(1, 1), never()),
      {
        code: 'core.ha.unavailable',
      },
    )
  })
}

// ---- pieces

export function never(): AbortSignal {
  return new AbortController().signal
}

/** `count` chunks of `bytes`, from byte `offset` on. */
export async function* chunks(count: number, bytes: number, offset = 0): AsyncIterable<Uint8Array> {
  for (let place = Math.floor(offset / bytes); place < count; place++) yield Buffer.alloc(bytes, place % 251)
}

async function* hanging(): AsyncIterable<Uint8Array> {
  yield Uint8Array.of(0)
  await new Promise(() => undefined)
}

interface Collected {
  header: string
  bytes: number
  sound: boolean
  ended: boolean
  failed: boolean
}

function collector(network: HaNetwork, offset: number): Collected {
  const got: Collected = { header: '', bytes: 0, sound: true, ended: false, failed: false }
  network.onBulk(async (from, header) => {
    got.header = `${from} ${Buffer.from(header).toString()}`
    return {
      offset,
      async take(body) {
        try {
          for await (const chunk of body) {
            got.bytes += chunk.length
            got.sound &&= chunk.length > 0
          }
          got.ended = true
        } catch (error) {
          got.failed = true
          throw error
        }
      },
    }
  })
  return got
}
