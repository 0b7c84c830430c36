import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readFile, stat, writeFile } from 'node:fs/promises'
import { connect as connectTcp, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '@aaas/testing'
import { test } from 'tap'
import { type AdmissionChannel, type AdmissionOptions, admit, ClusterKey } from '../../src/ha/libp2p/admission.js'
import { type Libp2pNode, type Libp2pOptions, startLibp2p } from '../../src/ha/libp2p/libp2p.js'
import { createLogger, type LogRecord } from '../../src/kernel/logger.js'
import { systemClock } from '../../src/kernel/system-clock.js'
import { systemIds } from '../../src/kernel/system-ids.js'

const clock = systemClock({ keepAlive: true })
const clusterKey = 'a key of the tests, long enough'
const seedOf = (name: string | number): Uint8Array => createHash('sha256').update(`admission ${name}`).digest()

interface Started extends Libp2pNode {
  readonly lines: LogRecord[]
  readonly events: string[]
}

async function start(options: Partial<Libp2pOptions> & { readonly self: number }): Promise<Started> {
  const lines: LogRecord[] = []
  const logger = createLogger({ now: () => 0, write: line => lines.push(line) })
  const seed = options.keyFile === undefined ? { seed: seedOf(options.self) } : {}
  const node = await startLibp2p({ clusterKey, ...seed, clock, ids: systemIds(), logger, ...options })
  const events: string[] = []
  node.network.onPeer((peer, state) => events.push(`${peer} ${state}`))
  return { ...node, lines, events }
}

const codesOf = ({ lines }: Started): unknown[] => lines.map(({ fields }) => fields.code)

/** Starts two that cannot agree and waits for the word of both. */
async function refusal(
  near: Partial<Libp2pOptions> & { readonly self: number },
  far: Partial<Libp2pOptions> & { readonly self: number },
): Promise<{ readonly near: Started; readonly far: Started; readonly others: Started[] }> {
  const [one, other] = [await start(near), await start(far)]
  one.network.setPeer(far.self === near.self ? 9 : far.self, other.network.address)
  await eventually('both have said it', () => one.lines.length > 0 && other.lines.length > 0)
  return { near: one, far: other, others: [one, other] }
}

test('another cluster key is refused by name on both sides, logged once, whoever dials', async () => {
  const { near, far, others } = await refusal({ self: 1 }, { self: 2, clusterKey: 'another key, just as long' })
  // Some tries later it is still one line.
  await new Promise<void>(resolve => clock.after(300, resolve))
  assert.deepEqual(codesOf(near), ['core.ha.wrong-cluster'])
  assert.deepEqual(codesOf(far), ['core.ha.wrong-cluster'])
  assert.deepEqual([near.events, far.events], [[], []])
  assert.equal(near.network.send(2, [Buffer.from('x')]), false)
  for (const node of others) await node.network.close()
})

test('a node with the id of a living node is refused, and the living one stays', async () => {
  const [one, two] = [await start({ self: 1 }), await start({ self: 2 })]
  one.network.setPeer(2, two.network.address)
  await eventually('they are connected', () => one.events.includes('2 up') && two.events.includes('1 up'))
  const twin = await start({ self: 2, seed: seedOf('twin') })
  twin.network.setPeer(1, one.network.address)
  await eventually('it is refused', () => twin.lines.length > 0 && one.lines.length > 0)
  assert.deepEqual(codesOf(one), ['core.ha.duplicate-node'])
  assert.deepEqual(codesOf(twin), ['core.ha.duplicate-node'])
  assert.deepEqual(one.events, ['2 up'])
  const self = await start({ self: 1, seed: seedOf('self') })
  self.network.setPeer(2, one.network.address)
  await eventually('one that says it is the node itself', () => codesOf(self).includes('core.ha.duplicate-node'))
  for (const node of [one, two, twin, self]) await node.network.close()
})

test('the key file of another node is no identity', async () => {
  const one = await start({ self: 1 })
  const copy = await start({ self: 3, seed: seedOf(1) })
  const address = one.network.address.replace(/\/p2p\/.*/, '')
  copy.network.setPeer(1, address)
  await eventually('it is refused', () => codesOf(one).length > 0)
  assert.deepEqual(codesOf(one), ['core.ha.duplicate-node'])
  assert.deepEqual(one.events, [])
  for (const node of [one, copy]) await node.network.close()
})

test('a node of a newer wire version is told so, whoever dials', async () => {
  for (const dialer of [1, 2]) {
    const newer = { wireVersion: 2 }
    const { near, far, others } = await refusal(
      { self: 1, ...(dialer === 1 ? newer : {}) },
      { self: 2, ...(dialer === 2 ? newer : {}) },
    )
    assert.deepEqual(codesOf(near), ['core.ha.newer-version'])
    assert.deepEqual(codesOf(far), ['core.ha.newer-version'])
    for (const node of others) await node.network.close()
  }
})

test('a stranger that speaks plain libp2p, nonsense, or nothing gets nowhere', async () => {
  const one = await start({ self: 1 })
  const port = Number(/\/tcp\/(\d+)/.exec(one.network.address)?.[1])
  const talk = (bytes: Uint8Array): Promise<void> =>
    new Promise(resolve => {
      const socket = connectTcp(port, '127.0.0.1', () => socket.end(bytes))
      socket.on('error', () => undefined)
      socket.on('data', () => undefined)
      socket.on('close', () => resolve())
    })
  const plain = Buffer.from('\x13/multistream/1.0.0\n\x07/noise\n')
  for (const bytes of [plain, randomBytes(5_000), Buffer.alloc(0)]) await talk(bytes)
  assert.deepEqual(one.events, [])
  const two = await start({ self: 2 })
  two.network.setPeer(1, one.network.address)
  await eventually('a member still comes in', () => one.events.includes('2 up'))
  for (const node of [one, two]) await node.network.close()
})

test('what was recorded of one connection opens no other', async () => {
  const one = await start({ self: 1 })
  const port = Number(/\/tcp\/(\d+)/.exec(one.network.address)?.[1])
  // A relay that keeps what the member says.
  const said: Buffer[] = []
  const sockets: Socket[] = []
  const relay = createServer(incoming => {
    const outgoing = connectTcp(port, '127.0.0.1')
    sockets.push(incoming, outgoing)
    incoming.on('data', data => said.push(data))
    for (const socket of [incoming, outgoing]) socket.on('error', () => undefined)
    incoming.on('close', () => outgoing.destroy())
    incoming.pipe(outgoing).pipe(incoming)
  })
  await new Promise<void>(resolve => relay.listen(0, '127.0.0.1', resolve))
  const two = await start({ self: 2 })
  const { port: relayPort } = relay.address() as { port: number }
  two.network.setPeer(1, one.network.address.replace(/tcp\/\d+/, `tcp/${relayPort}`))
  await eventually('it came in over the relay', () => one.events.includes('2 up'))
  await two.network.close()
  await eventually('it is gone', () => one.events.includes('2 down'))
  const before = one.events.length
  await new Promise<void>(resolve => {
    const socket = connectTcp(port, '127.0.0.1', () => {
      for (const bytes of said) socket.write(bytes)
      socket.end()
    })
    socket.on('error', () => undefined)
    socket.on('data', () => undefined)
    socket.on('close', () => resolve())
  })
  assert.equal(one.events.length, before)
  for (const socket of sockets) socket.destroy()
  relay.close()
  await one.network.close()
})

// ---- the words themselves, without a network

interface End extends AdmissionChannel {
  readonly said: Uint8Array[]
}

/** Two ends of a pipe; `change` may alter what the dialer says. */
function pipe(change: (bytes: Uint8Array, place: number) => Uint8Array = bytes => bytes): readonly [End, End] {
  const ends = [0, 1].map(() => ({ held: Buffer.alloc(0), wake: () => undefined as void, said: [] as Uint8Array[] }))
  return [0, 1].map(self => {
    const mine = ends[self] as (typeof ends)[0]
    const other = ends[1 - self] as (typeof ends)[0]
    return {
      said: mine.said,
      send(bytes: Uint8Array) {
        mine.said.push(bytes)
        const sent = self === 0 ? change(bytes, mine.said.length) : bytes
        other.held = Buffer.concat([other.held, sent])
        other.wake()
      },
      async read(count: number) {
        while (mine.held.length < count) {
          await new Promise<void>(resolve => {
            mine.wake = resolve
          })
        }
        const bytes = mine.held.subarray(0, count)
        mine.held = mine.held.subarray(count)
        return bytes
      },
      ended: async () => undefined,
    }
  }) as unknown as readonly [End, End]
}

const key = new ClusterKey(clusterKey)
function side(role: 'dialer' | 'listener', more: Partial<AdmissionOptions> = {}): AdmissionOptions {
  const [self, other] = role === 'dialer' ? [1, 2] : [2, 1]
  return {
    role,
    key,
    self,
    selfPeer: Buffer.from(`peer ${self}`),
    remotePeer: Buffer.from(`peer ${other}`),
    nonce: randomBytes(32),
    refuse: () => undefined,
    ...more,
  }
}

test('both sides learn who the other is', async () => {
  const [dialer, listener] = pipe()
  assert.deepEqual(await Promise.all([admit(dialer, side('dialer')), admit(listener, side('listener'))]), [2, 1])
})

test('a proof is worth nothing between other peers, and nothing a second time', async () => {
  const refused = { code: 'core.ha.wrong-cluster' }
  const [dialer, listener] = pipe()
  const both = await Promise.allSettled([
    admit(dialer, side('dialer', { selfPeer: Buffer.from('a peer in between') })),
    admit(listener, side('listener')),
  ])
  for (const result of both) {
    assert(result.status === 'rejected')
    assert.equal(result.reason.code, refused.code)
  }
  const [first, answering] = pipe()
  await Promise.all([admit(first, side('dialer')), admit(answering, side('listener'))])
  const [again, later] = pipe()
  for (const bytes of first.said) again.send(bytes)
  await assert.rejects(admit(later, side('listener')), refused)
})

test('a single bit that is changed on the way ends it', async () => {
  for (const message of [1, 2]) {
    for (let bit = 0; bit < 8 * 33; bit += 37) {
      const [dialer, listener] = pipe((bytes, place) => {
        if (place !== message) return bytes
        const changed = Buffer.from(bytes)
        changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7))
        return changed
      })
      const both = Promise.allSettled([admit(dialer, side('dialer')), admit(listener, side('listener'))])
      const late = new Promise<'late'>(resolve => clock.after(50, () => resolve('late')))
      const result = await Promise.race([both, late])
      assert(result === 'late' || result.some(({ status }) => status === 'rejected'), `message ${message}, bit ${bit}`)
    }
  }
})

test('a short cluster key, a wrong node id, a wrong seed and a missing key file option are refused by field', async () => {
  assert.throws(() => new ClusterKey('x'.repeat(15)), { code: 'core.kernel.invalid-config', field: 'clusterKey' })
  new ClusterKey('x'.repeat(16))
  const ports = { clusterKey, clock, ids: systemIds(), logger: createLogger({ now: () => 0, write: () => undefined }) }
  for (const [options, field] of [
    [{ self: 0, seed: seedOf(1) }, 'self'],
    [{ self: 1, seed: Buffer.alloc(31) }, 'seed'],
    [{ self: 1 }, 'keyFile'],
    [{ self: 1, keyFile: '/nowhere/at/all/key' }, 'keyFile'],
  ] as const) {
    await assert.rejects(startLibp2p({ ...ports, ...options }), { field })
  }
})

test('a key file is made once, for the owner alone, and keeps the peer id; a spoilt one is refused', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'ha-key-'))
  const keyFile = join(dir, 'node.key')
  const first = await start({ self: 1, keyFile })
  await first.network.close()
  assert.equal((await stat(keyFile)).mode & 0o777, 0o600)
  const again = await start({ self: 1, keyFile })
  assert.equal(again.peerId, first.peerId)
  await again.network.close()
  await writeFile(keyFile, (await readFile(keyFile, 'utf8')).slice(1))
  await assert.rejects(start({ self: 1, keyFile }), { code: 'core.kernel.invalid-config', field: 'keyFile' })
})

test('an address that is none, and a port that is taken, are refused by field', async () => {
  const one = await start({ self: 1 })
  assert.throws(() => one.network.setPeer(2, 'not an address'), { field: 'address' })
  const port = /\/tcp\/(\d+)/.exec(one.network.address)?.[1]
  await assert.rejects(start({ self: 2, listen: `/ip4/127.0.0.1/tcp/${port}` }), {
    code: 'core.deploy.port-in-use',
    field: 'listen',
  })
  await one.network.close()
})
