import assert from 'node:assert/strict'
import type { HaNetwork } from './network.js'
import { chunks, networkBulkSuite, never } from './network-bulk-suite.js'
import type { NetworkFixture, NetworkTest, NetworkWorld, OnNetworks } from './network-suite-world.js'

export type { NetworkFixture, NetworkTest } from './network-suite-world.js'

import type { NodeId } from './raft/types.js'

/** Every promise of the {@link HaNetwork} port. A driver is done when it passes. */
export function networkSuite(test: NetworkTest, open: () => Promise<NetworkFixture>): void {
  const on = (name: string, body: (world: NetworkWorld) => Promise<void>): void => {
    test(name, async () => {
      await using fixture = await open()
      const until = (what: string, condition: () => boolean): Promise<void> => waitFor(fixture, what, condition)
      const near = await fixture.open(1)
      const far = await fixture.open(2)
      const events = { near: [] as string[], far: [] as string[] }
      near.onPeer((node, state) => events.near.push(`${node} ${state}`))
      far.onPeer((node, state) => events.far.push(`${node} ${state}`))
      near.setPeer(2, far.address)
      far.setPeer(1, near.address)
      await until('both know the other to be there', () => events.near.length > 0 && events.far.length > 0)
      await body({ fixture, near, far, events, until })
      await near.close()
      await far.close()
    })
  }
  frameSuite(on)
  limitSuite(on)
  peerSuite(on)
  networkBulkSuite(on)
}

async function waitFor(fixture: NetworkFixture, what: string, condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 2_000; turn++) {
    if (condition()) return
    await fixture.pause()
  }
  throw new Error(`never: ${what}`)
}

function frameSuite(on: OnNetworks): void {
  on('a frame arrives whole, with its sender, however many pieces it was', async ({ near, far, until }) => {
    const seen: [NodeId, string][] = []
    far.onFrame((from, frame) => seen.push([from, Buffer.from(frame).toString()]))
    assert.equal(near.self, 1)
    assert(near.send(2, [Buffer.from('one'), Buffer.from(''), Buffer.from(' frame')]))
    assert(near.send(2, [Buffer.from('')]))
    assert(near.send(2, [Buffer.from('x')]))
    await until('three frames', () => seen.length === 3)
    assert.deepEqual(seen, [
      [1, 'one frame'],
      [1, ''],
      [1, 'x'],
    ])
  })

  on('frames of one sender arrive in order, both ways at once, large ones among small ones', async world => {
    const { near, far, until } = world
    const heard = { near: [] as number[], far: [] as number[] }
    const sizeOf = (place: number): number => (place % 97 === 0 ? 300_000 : (place * 31) % 2_000)
    const listen = (network: HaNetwork, into: number[]): void =>
      network.onFrame((_, frame) => {
        const place = Buffer.from(frame.buffer, frame.byteOffset).readUInt32LE(0)
        assert.equal(frame.length, 4 + sizeOf(place))
        assert(frame.subarray(4).every(byte => byte === place % 251))
        into.push(place)
      })
    listen(near, heard.near)
    listen(far, heard.far)
    const frame = (place: number): Uint8Array[] => {
      const head = Buffer.alloc(4)
      head.writeUInt32LE(place)
      return [head, Buffer.alloc(sizeOf(place), place % 251)]
    }
    for (let place = 0; place < 500; place++) {
      assert(near.send(2, frame(place)))
      assert(far.send(1, frame(place)))
      if (place % 5 === 0) await until('some have arrived', () => heard.far.length > place - 10)
    }
    await until('all have arrived', () => heard.near.length === 500 && heard.far.length === 500)
    for (const list of [heard.near, heard.far]) assert(list.every((place, at) => place === at))
  })
}

function limitSuite(on: OnNetworks): void {
  on('a frame of 9 MiB arrives, even when the queue is smaller', async ({ near, far, until }) => {
    let bytes = 0
    far.onFrame((_, frame) => {
      bytes += frame.length
    })
    assert(near.send(2, [Buffer.alloc(4 * 1024 * 1024), Buffer.alloc(5 * 1024 * 1024)]))
    await until('it arrives', () => bytes === 9 * 1024 * 1024)
  })

  on('a frame beyond the limit is not sent', async ({ near, far, until }) => {
    const seen: number[] = []
    far.onFrame((_, frame) => seen.push(frame.length))
    const half = Buffer.alloc(16 * 1024 * 1024)
    assert.equal(near.send(2, [half, half, Buffer.from('x')]), false)
    assert(near.send(2, [Buffer.from('after')]))
    await until('what follows arrives', () => seen.length === 1)
    assert.deepEqual(seen, [5])
  })

  on('a queue that is full says so at once, loses nothing it took, and takes more later', async world => {
    const { near, far, fixture, until } = world
    let arrived = 0
    far.onFrame(() => {
      arrived += 1
    })
    const frame = Buffer.alloc(64 * 1024)
    let taken = 0
    const most = fixture.maxQueuedBytes / frame.length + 2
    while (taken <= most && near.send(2, [frame])) taken += 1
    assert(taken <= most, 'the queue has no limit')
    assert(taken >= most - 6, `the queue takes only ${taken} frames`)
    await until('all that was taken arrives', () => arrived === taken)
    await until('there is room again', () => near.send(2, [frame]))
  })

  on('nobody is there: a frame to an unknown node, or to oneself, is lost for sure', async ({ near }) => {
    assert.equal(near.send(77, [Buffer.from('x')]), false)
    assert.equal(near.send(1, [Buffer.from('x')]), false)
  })

  on('a frame belongs to its receiver', async ({ near, far, until }) => {
    const kept: Uint8Array[] = []
    far.onFrame((_, frame) => kept.push(frame))
    for (let place = 0; place < 50; place++) {
      assert(near.send(2, [Buffer.alloc(1_000, place)]))
      if (place % 10 === 9) await until('they arrive', () => kept.length === place + 1)
    }
    for (const [place, frame] of kept.entries()) assert(frame.every(byte => byte === place))
  })
}

function peerSuite(on: OnNetworks): void {
  on('a peer that goes is told, and nothing is sent to it', async ({ near, far, events, until }) => {
    await far.close()
    await until('the peer is down', () => events.near.includes('2 down'))
    assert.equal(near.send(2, [Buffer.from('x')]), false)
    assert.deepEqual(events.near, ['2 up', '2 down'])
  })

  on('a peer that comes back at another address is found when it is told', async world => {
    const { near, far, fixture, events, until } = world
    await far.close()
    await until('the peer is down', () => events.near.includes('2 down'))
    const again = await fixture.open(2)
    const seen: string[] = []
    again.onFrame((from, frame) => seen.push(`${from} ${Buffer.from(frame).toString()}`))
    near.setPeer(2, again.address)
    again.setPeer(1, near.address)
    await until('it is up', () => events.near.length === 3)
    assert(near.send(2, [Buffer.from('again')]))
    await until('a frame arrives', () => seen.length === 1)
    assert.deepEqual(seen, ['1 again'])
    assert.deepEqual(events.near, ['2 up', '2 down', '2 up'])
    await again.close()
  })

  on('one side that knows the other is enough', async ({ near, fixture, until }) => {
    const third = await fixture.open(3)
    const seen: string[] = []
    near.onFrame((from, frame) => seen.push(`${from} ${Buffer.from(frame).toString()}`))
    third.setPeer(1, near.address)
    await until('the frame is taken', () => third.send(1, [Buffer.from('hello')]))
    await until('the frame arrives', () => seen.length > 0)
    assert.deepEqual(seen, ['3 hello'])
    await until('the way back is there', () => near.send(3, [Buffer.from('back')]))
    await third.close()
  })

  on('a peer that is removed is not let in until it is named again', async world => {
    const { near, far, events, fixture, until } = world
    near.removePeer(2)
    await until('both have seen the end', () => events.near.at(-1) === '2 down' && events.far.at(-1) === '1 down')
    for (let turn = 0; turn < 30; turn++) {
      assert.equal(near.send(2, [Buffer.from('x')]), false)
      await fixture.pause()
    }
    assert.equal(events.near.at(-1), '2 down')
    near.setPeer(2, far.address)
    await until('it is back', () => near.send(2, [Buffer.from('x')]))
    await until('it was told', () => events.near.at(-1) === '2 up')
  })

  on('who listens late is told who is there', async ({ near, until }) => {
    const told: string[] = []
    near.onPeer((node, state) => told.push(`${node} ${state}`))
    await until('it is told', () => told.length > 0)
    assert.deepEqual(told, ['2 up'])
  })

  on('after the end nothing is sent, and a second end is harmless', async ({ near }) => {
    await near.close()
    assert.equal(near.send(2, [Buffer.from('x')]), false)
    await assert.rejects(near.sendBulk(2, Buffer.from('h'), () => chunks(1, 1), never()))
    await near.close()
  })
}
