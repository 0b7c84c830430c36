import { generateKeyPairSync } from 'node:crypto'
import { connect } from 'node:net'
import { memoryBus } from '@aaas/core-cloud/bus'
import { CloudError, systemClock } from '@aaas/core-cloud/kernel'
import { seededRandom } from '@aaas/testing'
import { test } from 'tap'
import {
  type Announcement,
  decodeDiscovery,
  encodeDiscovery,
  maxAnnouncementBytes,
  readAnnouncement,
  signAnnouncement,
  verifyAnnouncement,
} from '../../src/bus/direct/direct-announcement.js'
import { CredentialCheck } from '../../src/bus/direct/direct-credential.js'
import { DirectCallee, DirectCaller, maxHandshakeBytes } from '../../src/bus/direct/direct-handshake.js'
import { FrameSplitter, ProtocolError } from '../../src/bus/frame.js'
import { cluster, credentialOf, issuer, joinDirect, until } from './fixture/direct-cluster.js'
import { socketFolder } from './fixture/processes.js'

const random = seededRandom(20_261_120)
const below = (limit: number): number => Math.floor(random() * limit)
const now = 1_700_000_000_000
const keys = generateKeyPairSync('ed25519')
const { key } = { key: keys.publicKey.export({ format: 'jwk' }).x ?? '' }
const credential = credentialOf(keys.publicKey, { name: 'peer' })
const self = { instance: 'me', credential, privateKey: keys.privateKey }
const check = (): CredentialCheck => new CredentialCheck({ issuers: [issuer.publicKey], cluster })
const shared = check()
const handshake = { self, check: shared, nonce: 'n'.repeat(52), binding: Buffer.alloc(0), now }

const announcement: Announcement = {
  instance: 'me',
  version: 7,
  credential,
  leaving: false,
  socketPath: '/run/x/me',
  tcp: { host: '10.0.0.1', port: 4_000 },
  listeners: [
    ['a.*', 'q'],
    ['b.>', ''],
  ],
}

/** One to four changes: bits, bytes, lengths, cut, doubled, grown, spliced. */
function mutate(original: Buffer): Buffer {
  let bytes = Buffer.from(original)
  for (let change = 1 + below(4); change > 0; change--) {
    const at = below(bytes.length + 1)
    switch (below(7)) {
      case 0:
        if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8))
        break
      case 1:
        if (at < bytes.length) bytes[at] = below(256)
        break
      case 2:
        if (bytes.length > 3) bytes.writeUInt16BE(below(65_536), below(bytes.length - 1))
        break
      case 3:
        bytes = bytes.subarray(0, at)
        break
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at - below(at + 1))])
        break
      case 5:
        bytes = Buffer.concat([bytes, Buffer.alloc(below(64), below(256))])
        break
      default:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(below(bytes.length + 1))])
    }
  }
  return Buffer.from(bytes)
}

/** @returns true when it was refused by name; anything else that is thrown fails the test. */
function refused(work: () => void): boolean {
  try {
    work()
    return false
  } catch (error) {
    if (error instanceof ProtocolError || CloudError.is(error, 'core.bus.bad-signature')) return true
    throw error
  }
}

test('120,000 mutated discovery messages: read, or refused by name', async t => {
  const messages = [
    Buffer.from(encodeDiscovery(signAnnouncement(announcement, keys.privateKey))),
    Buffer.from(encodeDiscovery({ type: 'alive', instance: 'me', version: 3 })),
    Buffer.from(encodeDiscovery({ type: 'seen', instance: 'me', version: 3 })),
    Buffer.from(encodeDiscovery({ type: 'ask', instance: 'me' })),
  ]
  let believed = 0
  for (let round = 0; round < 120_000; round++) {
    const bytes = mutate(messages[round & 3] as Buffer)
    const told = decodeDiscovery(bytes)
    if (told?.type !== 'announce') continue
    const read = readAnnouncement(told)
    if (read === undefined) continue
    if (!refused(() => verifyAnnouncement(told, read, shared, now)) && told.body !== JSON.stringify(announcement))
      believed += 1
  }
  t.equal(believed, 0)
})

test('a message as large as can be is read in no time, a larger one not at all', async t => {
  const listeners = Array.from({ length: 100_000 }, () => ['a', '']) as [string, string][]
  t.equal(decodeDiscovery(Buffer.alloc(maxAnnouncementBytes + 1, '[')), undefined)
  const start = performance.now()
  for (const filler of ['[', '{"a":', '"', '\\', '1', '\u{0}'])
    t.equal(decodeDiscovery(Buffer.from(filler.repeat(maxAnnouncementBytes).slice(0, maxAnnouncementBytes))), undefined)
  t.ok(performance.now() - start < 2_000)
  const body = JSON.stringify({ ...announcement, listeners })
  t.equal(readAnnouncement({ type: 'announce', ask: false, body, signature: '' }), undefined)
})

test('60,000 mutated frames of the handshake: nobody is admitted, nothing but a refusal is thrown', async t => {
  const caller = new DirectCaller({ ...handshake, callee: 'me', calleeKey: key })
  const callee = new DirectCallee(handshake)
  const { challenge } = callee.challenge(caller.hello)
  const { proof } = caller.proof(challenge)
  t.equal(callee.admit(proof).credential.identity.name, 'peer')
  let wrong = 0
  for (let round = 0; round < 20_000; round++) {
    const hello = mutate(caller.hello)
    const other = new DirectCallee(handshake)
    // A hello may be another good one (its nonce is the caller's own matter); this proof never fits that one.
    if (!refused(() => other.challenge(hello)) && !hello.equals(caller.hello))
      if (!refused(() => other.admit(proof))) wrong += 1
    const changed = mutate(challenge)
    if (!changed.equals(challenge) && !refused(() => caller.proof(changed))) wrong += 1
    const said = mutate(proof)
    if (!said.equals(proof) && !refused(() => callee.admit(said))) wrong += 1
  }
  t.equal(wrong, 0)
})

test('20,000 mutated credentials: none is believed', async t => {
  let believed = 0
  for (let round = 0; round < 20_000; round++) {
    const text = mutate(Buffer.from(credential)).toString('latin1')
    if (text === credential) continue
    if (!refused(() => shared.read(text, now))) believed += 1
  }
  t.equal(believed, 0)
})

test('2,000 streams of rubbish before the handshake keep no more than one hello', async t => {
  for (let round = 0; round < 2_000; round++) {
    const splitter = new FrameSplitter(maxHandshakeBytes)
    const callee = new DirectCallee(handshake)
    for (let chunk = 0; chunk < 20; chunk++) {
      const bytes = Buffer.from(Array.from({ length: below(40) }, () => below(random() < 0.5 ? 4 : 256)))
      const over = refused(() => splitter.push(bytes, frame => void callee.challenge(frame)))
      if (splitter.kept > maxHandshakeBytes + 4) t.fail('too much is kept')
      if (over) break
    }
  }
  t.ok(true)
})

test('a socket full of rubbish is closed, and the instance goes on', async t => {
  const folder = socketFolder()
  const clock = systemClock({ keepAlive: true })
  const socketPath = `${folder.path}/d`
  await using bus = await joinDirect(memoryBus({ clock }), { listen: { socketPath }, limits: { maxInbound: 4 } })
  const send = (bytes: Buffer): Promise<void> =>
    new Promise(resolve => {
      const socket = connect(socketPath, () => socket.write(bytes))
      socket.on('error', () => undefined)
      socket.resume()
      socket.once('close', () => resolve())
    })
  const frames = Array.from({ length: 200 }, () => Buffer.from(Array.from({ length: 300 }, () => below(256))))
  for (const bytes of frames) {
    bytes.writeUInt32BE(below(2) === 0 ? 20 : below(2 ** 32))
    await send(bytes)
  }
  await until(() => bus.info().callers === 0)
  await bus.subscribe('a', message => message.respond?.(message.payload), { queue: 'q' })
  await bus.request('a', Buffer.from('x'), { deadline: clock.now() + 1_000 })
  folder.remove()
})
