import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { connect } from 'node:tls'
import { memoryBus } from '@aaas/core-cloud/bus'
import { CloudError, silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { type Test, test } from 'tap'
import type { BusMessage } from '../../src/bus/bus.js'
import { DirectCall } from '../../src/bus/direct/direct-call.js'
import { certificateOf } from '../../src/bus/direct/direct-certificate.js'
import { CredentialCheck, rawKey } from '../../src/bus/direct/direct-credential.js'
import type { DirectPlaces } from '../../src/bus/direct/direct-endpoint.js'
import { DirectCallee, DirectCaller, type DirectSelf } from '../../src/bus/direct/direct-handshake.js'
import { DirectLink } from '../../src/bus/direct/direct-link.js'
import { defaultDirectLimits } from '../../src/bus/direct/direct-options.js'
import { noHeaders } from '../../src/bus/headers.js'
import { Deadlines } from '../../src/kernel/deadlines.js'
import { cluster, credentialOf, issuer, joinDirect } from './fixture/direct-cluster.js'
import { socketFolder } from './fixture/processes.js'

const now = 1_700_000_000_000
const clock = systemClock({ keepAlive: true })
const ids = systemIds()
const check = new CredentialCheck({ issuers: [issuer.publicKey], cluster })
const closed = new CloudError('core.kernel.stopped', 'over')
const binding = Buffer.alloc(0)

interface Person {
  readonly self: DirectSelf
  readonly key: string
}

function person(instance: string, rights: { publish?: string[] } = {}): Person {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const credential = credentialOf(publicKey, { name: instance, ...rights })
  return { self: { instance, credential, privateKey }, key: rawKey(publicKey) }
}

function caller(from: Person, to: Person, more: { binding?: Buffer; callee?: string } = {}): DirectCaller {
  const nonce = ids.token(32)
  const rest = { callee: to.self.instance, calleeKey: to.key, binding, ...more }
  return new DirectCaller({ self: from.self, check, nonce, now, ...rest })
}

function callee(of: Person, more: { binding?: Buffer } = {}): DirectCallee {
  return new DirectCallee({ self: of.self, check, nonce: ids.token(32), now, binding, ...more })
}

const untrusted = { code: 'core.bus.bad-signature' }
const throws = (t: Test, work: () => unknown, wanted: object, text: string): void => {
  let error: unknown
  try {
    work()
  } catch (caught) {
    error = caught
  }
  t.match(error, wanted, text)
}

test('both sides prove their keys, and each knows the other', async t => {
  const shop = person('shop')
  const pay = person('pay')
  const asks = caller(shop, pay)
  const answers = callee(pay)
  const { proof, credential } = asks.proof(answers.challenge(asks.hello).challenge)
  t.equal(credential.identity.name, 'pay')
  t.match(answers.admit(proof), { instance: 'shop', credential: { identity: { name: 'shop' } } })
})

test('what was recorded proves nothing in another connection', async t => {
  const shop = person('shop')
  const pay = person('pay')
  const asks = caller(shop, pay)
  const first = callee(pay)
  const { challenge } = first.challenge(asks.hello)
  const { proof } = asks.proof(challenge)
  const second = callee(pay)
  second.challenge(asks.hello)
  throws(t, () => second.admit(proof), untrusted, 'a proof played again')
  throws(t, () => caller(shop, pay).proof(challenge), untrusted, 'a challenge played again')
  throws(t, () => callee(pay).admit(proof), { name: 'ProtocolError' }, 'a proof without a hello')
  throws(t, () => first.challenge(asks.hello), { name: 'ProtocolError' }, 'a second hello')
})

test('a man in the middle, a mirror, another key, another instance, another version', async t => {
  const shop = person('shop')
  const pay = person('pay')
  const eve = person('eve')
  // Two encrypted connections with eve between them: each end knows another secret.
  const asks = caller(shop, pay, { binding: Buffer.from('left') })
  const { challenge } = callee(pay, { binding: Buffer.from('right') }).challenge(asks.hello)
  throws(t, () => asks.proof(challenge), untrusted, 'relayed')
  // What the callee signed is not a caller's word.
  const mirrored = callee(pay)
  const own = mirrored.challenge(caller(shop, pay).hello).challenge
  throws(t, () => mirrored.admit(Buffer.concat([Uint8Array.of(66), own.subarray(-64)])), untrusted, 'mirrored')
  const plain = caller(shop, pay)
  throws(
    t,
    () => plain.proof(callee({ ...eve, self: { ...eve.self, instance: 'pay' } }).challenge(plain.hello).challenge),
    untrusted,
    'another key',
  )
  throws(t, () => callee(pay).challenge(caller(shop, pay, { callee: 'other' }).hello), untrusted, 'another instance')
  const old = Buffer.from(caller(shop, pay).hello)
  old[1] = 0
  throws(t, () => callee(pay).challenge(old), { name: 'ProtocolError' }, 'another version')
})

test('the certificate is one that TLS takes, and holds the key', async t => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const { X509Certificate } = await import('node:crypto')
  const certificate = new X509Certificate(certificateOf(privateKey))
  t.equal(rawKey(certificate.publicKey), rawKey(publicKey))
  t.ok(certificate.verify(publicKey))
})

/** A call over a link of its own, past everything the bus checks on the calling side. */
async function callPast(options: {
  readonly from: Person
  readonly key: string
  readonly instance: string
  readonly places: DirectPlaces
  readonly subject: string
}): Promise<BusMessage | 'other way'> {
  const { from, key, instance, places, subject } = options
  return new Promise((resolve, reject) => {
    const link = new DirectLink({
      instance,
      places,
      key,
      self: () => from.self,
      check,
      clock,
      ids,
      logger: silentLogger,
      limits: defaultDirectLimits,
      otherWay: call => {
        call.release()
        resolve('other way')
        link.close(closed)
      },
    })
    const done = (answer: BusMessage | Promise<BusMessage>): void => {
      resolve(answer)
      link.close(closed)
    }
    const failed = (error: Error): void => {
      reject(error)
      link.close(closed)
    }
    const deadline = { deadline: clock.now() + 5_000 }
    link.send(new DirectCall(subject, Buffer.from('x'), noHeaders, deadline, done, failed, new Deadlines(clock)))
  })
}

test('the callee enforces the rights of the caller, whatever the caller checks', async t => {
  const folder = socketFolder()
  t.teardown(() => folder.remove())
  const socketPath = `${folder.path}/pay`
  const listen = { socketPath, tcp: { host: '127.0.0.1', port: 0 } }
  const keys = generateKeyPairSync('ed25519')
  await using pay = await join(keys.privateKey, keys.publicKey)
  await pay.subscribe('may.a', message => message.respond?.(Buffer.from(message.sender ?? '')), { queue: 'q' })
  await pay.subscribe('secret.a', () => void t.fail('a call without the right to it was run'), { queue: 'q' })
  const { instance, places } = pay.info()
  const from = person('narrow', { publish: ['may.*'] })
  const key = rawKey(keys.publicKey)
  for (const way of [{ socketPath }, { tcp: places.tcp as { host: string; port: number } }]) {
    const to = { from, key, instance, places: way }
    const answer = await callPast({ ...to, subject: 'may.a' })
    t.equal(answer === 'other way' ? answer : Buffer.from(answer.payload).toString(), 'narrow')
    await t.rejects(callPast({ ...to, subject: 'secret.a' }), { code: 'core.bus.refused' })
    await t.rejects(callPast({ ...to, subject: 'may.a.*' }), { code: 'core.bus.refused' })
    t.equal(await callPast({ ...to, subject: 'may.b' }), 'other way')
    t.equal(await callPast({ ...to, key: person('eve').key, subject: 'may.a' }), 'other way')
    t.equal(await callPast({ ...to, instance: 'other', subject: 'may.a' }), 'other way')
  }
  // A caller of TLS without a certificate, and one whose certificate is of another key than its credential.
  const { tcp } = places
  await new Promise<void>(resolve => {
    const socket = connect({ host: '127.0.0.1', port: tcp?.port ?? 0, rejectUnauthorized: false }, () =>
      socket.write(Buffer.from([0, 0, 0, 1, 9])),
    )
    socket.on('error', () => undefined)
    socket.resume()
    socket.once('close', () => resolve())
  })
  const stolen = person('narrow')
  const other = { self: { ...stolen.self, privateKey: generateKeyPairSync('ed25519').privateKey }, key: stolen.key }
  t.equal(await callPast({ from: other, key, instance, places: { tcp: tcp as never }, subject: 'may.a' }), 'other way')

  function join(privateKey: KeyObject, publicKey: KeyObject): ReturnType<typeof joinDirect> {
    const credential = credentialOf(publicKey, { name: 'pay' })
    return joinDirect(memoryBus({ clock }), { privateKey, credential: () => credential, listen })
  }
})
