import { generateKeyPairSync, sign } from 'node:crypto'
import { type Bus, connectBus, listenBus, memoryBus } from '@aaas/core-cloud/bus'
import { type CallContext, silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { ManualClock } from '@aaas/testing'
import { test } from 'tap'
import { Type } from 'typebox'
import {
  busClient,
  type CallerKey,
  type CallerSigner,
  callerKeyRing,
  callerSigner,
  callerVerifier,
  defineContract,
  serveContract,
} from '../../src/contract/index.js'
import { socketFolder } from '../bus/fixture/processes.js'

const ids = systemIds()
const ada = { tenant: 'shop', actor: { id: 'ada', scopes: ['a', 'b'] } }

function keyPair(id: string): { readonly own: CallerKey; readonly known: CallerKey } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  return { own: { id, key: privateKey }, known: { id, key: publicKey } }
}

test('a claim says who calls, to whom it is for', async t => {
  const clock = new ManualClock()
  const { own, known } = keyPair('k1')
  const signer = callerSigner({ key: own, clock })
  const verifier = callerVerifier({ keys: callerKeyRing([known]), clock })
  t.same(verifier.verify(signer.sign(ada, 'sample.one'), 'sample.one'), ada)
  t.same(verifier.verify(signer.sign({}, 'sample.one'), 'sample.one'), {})
  t.same(verifier.verify(signer.sign({ tenant: '中"\n' }, 'x'), 'x'), { tenant: '中"\n' })
  const everywhere = callerSigner({ key: own, clock, audience: '*' })
  t.same(verifier.verify(everywhere.sign(ada, 'sample.one'), 'sample.two'), ada)
  t.ok(Object.isFrozen(verifier.verify(signer.sign(ada, 'x'), 'x').actor?.scopes))
})

test('a claim is refused when it is old, early, for another, changed, or of a key nobody knows', async t => {
  const clock = new ManualClock()
  const { own, known } = keyPair('k1')
  const signer = callerSigner({ key: own, clock, lifetimeMs: 60_000 })
  const keys = callerKeyRing([known])
  const verifier = callerVerifier({ keys, clock, skewMs: 5_000 })
  const refuses = (claim: string | undefined, reason: string, audience = 'x'): void => {
    t.throws(() => verifier.verify(claim, audience), { code: 'core.bus.bad-signature', details: { reason } }, reason)
  }
  const claim = signer.sign(ada, 'x')
  refuses(undefined, 'missing')
  refuses(claim, 'wrong-audience', 'y')
  t.same(verifier.verify(claim, 'x'), ada, 'an attempt with a wrong audience spoils nothing')
  refuses('', 'malformed')
  refuses('a.b', 'malformed')
  refuses(`${'A'.repeat(4_096)}.`, 'malformed')
  refuses(`${claim}A`, 'tampered')
  refuses(claim.slice(0, -2), 'tampered')
  const [text = '', signature = ''] = claim.split('.')
  const forged = { ...JSON.parse(Buffer.from(text, 'base64url').toString()), tenant: 'bank' }
  const forgedText = Buffer.from(JSON.stringify(forged)).toString('base64url')
  refuses(`${forgedText}.${signature}`, 'tampered')
  // The right key, but not for this purpose.
  refuses(`${text}.${sign(null, Buffer.from(text), own.key).toString('base64url')}`, 'tampered')
  refuses(callerSigner({ key: keyPair('k2').own, clock }).sign(ada, 'x'), 'unknown-key')
  refuses(callerSigner({ key: { ...keyPair('k1').own }, clock }).sign(ada, 'x'), 'tampered')
  await clock.pass(60_000 + 4_999)
  t.same(verifier.verify(claim, 'x'), ada, 'the last moment within the skew')
  await clock.pass(1)
  refuses(claim, 'expired')
  const early = callerVerifier({ keys, clock: new ManualClock(clock.now() - 5_001), skewMs: 5_000 })
  t.throws(() => early.verify(signer.sign(ada, 'x'), 'x'), {
    code: 'core.bus.bad-signature',
    details: { reason: 'not-yet-valid' },
  })
  const justInTime = callerVerifier({ keys, clock: new ManualClock(clock.now() - 5_000), skewMs: 5_000 })
  t.same(justInTime.verify(signer.sign(ada, 'x'), 'x'), ada)
  const strict = callerVerifier({ keys, clock, maxLifetimeMs: 59_999 })
  t.throws(() => strict.verify(signer.sign(ada, 'x'), 'x'), {
    code: 'core.bus.bad-signature',
    details: { reason: 'lifetime' },
  })
})

test('keys are replaced without a refused call, and a removed one counts no more', async t => {
  const clock = new ManualClock()
  const [first, second] = [keyPair('k1'), keyPair('k2')]
  const signer = callerSigner({ key: first.own, clock })
  const keys = callerKeyRing([first.known])
  const verifier = callerVerifier({ keys, clock })
  const old = signer.sign(ada, 'x')
  t.same(verifier.verify(old, 'x'), ada)
  keys.add(second.known)
  signer.rotate(second.own)
  const fresh = signer.sign(ada, 'x')
  t.not(fresh, old)
  t.same(verifier.verify(old, 'x'), ada)
  t.same(verifier.verify(fresh, 'x'), ada)
  keys.remove('k1')
  const unknown = { code: 'core.bus.bad-signature', details: { reason: 'unknown-key' } }
  t.throws(() => verifier.verify(old, 'x'), unknown, 'although it was known to be right')
  t.same(verifier.verify(fresh, 'x'), ada)
  t.throws(() => callerKeyRing([second.own]), /public/)
  t.throws(() => callerKeyRing([{ ...second.known, id: 'a b' }]), /key id/)
  t.throws(() => callerSigner({ key: second.known, clock }), /private/)
  t.throws(() => callerSigner({ key: second.own, clock, lifetimeMs: 999 }), /lifetimeMs/)
  t.throws(() => callerSigner({ key: second.own, clock, reuseMs: 60_000 }), /reuseMs/)
  const full = callerKeyRing(Array.from({ length: 64 }, (_, index) => ({ ...second.known, id: `k${index}` })))
  t.throws(() => full.add(keyPair('k64').known), /at most 64/)
  full.add({ ...second.known, id: 'k0' })
})

test('a claim is signed once for a while, and what is remembered is bounded', async t => {
  const clock = new ManualClock()
  const { own, known } = keyPair('k1')
  const signer = callerSigner({ key: own, clock, maxCached: 2 })
  const one = signer.sign(ada, 'x')
  await clock.pass(29_999)
  t.equal(signer.sign({ tenant: 'shop', actor: { id: 'ada', scopes: ['a', 'b'] } }, 'x'), one, 'the same words')
  t.not(signer.sign({ ...ada, actor: { id: 'ada', scopes: ['a b'] } }, 'x'), one, 'not words that only look alike')
  t.not(signer.sign(ada, 'y'), one)
  t.not(signer.sign(ada, 'x'), one, 'two others came since: it was forgotten')
  const now = signer.sign(ada, 'x')
  await clock.pass(30_000)
  t.not(signer.sign(ada, 'x'), now)
  t.throws(() => signer.sign({ actor: { id: 'a', scopes: ['s'.repeat(4_000)] } }, 'x'), {
    code: 'core.contract.payload-too-large',
    field: 'actor',
  })
  const verifier = callerVerifier({ keys: callerKeyRing([known]), clock, maxCached: 2 })
  const claims = ['1', '2', '3', '4'].map(tenant => callerSigner({ key: own, clock }).sign({ tenant }, 'x'))
  for (const claim of [...claims, ...claims]) t.ok(verifier.verify(claim, 'x').tenant)
})

const who = defineContract({
  name: 'sample.who',
  version: '1.0.0',
  methods: {
    am: { summary: 'Says who calls.', input: Type.Object({}), output: Type.Unknown() },
    secret: { summary: 'Needs a scope.', input: Type.Object({}), output: Type.Unknown(), scope: 'a' },
  },
})
const handlers = {
  am: async (_: unknown, { tenant, actor }: CallContext) => ({ tenant, actor }),
  secret: async () => 'treasure',
}

async function onBus(
  open: () => Promise<{ near: Bus; far: Bus; close(): Promise<void> }>,
  act: (on: {
    call: (signer?: CallerSigner) => ReturnType<typeof busClient<typeof who>>
    key: CallerKey
  }) => Promise<void>,
): Promise<void> {
  const clock = systemClock()
  const { near, far, close } = await open()
  const { own, known } = keyPair('k1')
  const verifier = callerVerifier({ keys: callerKeyRing([known]), clock })
  await serveContract({ bus: far, contract: who, handlers, prefix: 'site.a', clock, logger: silentLogger, verifier })
  await act({
    call: signer =>
      busClient({
        bus: near,
        contract: who,
        prefix: 'site.a',
        clock,
        ids,
        ...(signer === undefined ? {} : { signer }),
      }),
    key: own,
  })
  await close()
}

const drivers = {
  async memory() {
    const bus = memoryBus({ clock: systemClock() })
    return { near: bus, far: bus, close: async () => bus[Symbol.asyncDispose]() }
  },
  async unix() {
    const folder = socketFolder()
    const options = { socketPath: `${folder.path}/hub`, clock: systemClock(), logger: silentLogger }
    const authenticate = (name: string) => ({ name, kind: 'site', publish: ['>'], subscribe: ['>'] })
    const hub = await listenBus({ ...options, authenticate })
    const near = await connectBus({ ...options, token: 'near', ids })
    const far = await connectBus({ ...options, token: 'far', ids })
    return {
      near,
      far,
      async close() {
        for (const part of [near, far, hub]) await part[Symbol.asyncDispose]()
        folder.remove()
      },
    }
  },
}

for (const [name, open] of Object.entries(drivers)) {
  test(`over the bus (${name}) a server with a verifier believes nothing but claims`, async t => {
    await onBus(open, async ({ call, key }) => {
      const clock = systemClock()
      const signed = call(callerSigner({ key, clock }))
      t.same(await signed.am({}, ada), ada)
      t.same(await signed.am({}), {}, 'no tenant is none, whatever the connection')
      t.equal(await signed.secret({}, ada), 'treasure')
      const weak = { actor: { id: 'eve', scopes: [] } }
      await t.rejects(signed.secret({}, weak), { code: 'core.contract.forbidden' })
      const refused = (reason: string) => ({ code: 'core.bus.bad-signature', retryable: false, details: { reason } })
      await t.rejects(call().am({}, ada), refused('missing'))
      const sayings: readonly (readonly [string, CallerSigner])[] = [
        ['unknown-key', callerSigner({ key: { ...key, id: 'k9' }, clock })],
        ['tampered', callerSigner({ key: { ...keyPair('k1').own }, clock })],
        ['expired', callerSigner({ key, clock: { ...clock, now: () => clock.now() - 70_000 } })],
        ['not-yet-valid', callerSigner({ key, clock: { ...clock, now: () => clock.now() + 70_000 } })],
        ['wrong-audience', { sign: caller => callerSigner({ key, clock }).sign(caller, 'sample.other') }],
      ]
      for (const [reason, signer] of sayings) await t.rejects(call(signer).am({}, ada), refused(reason), reason)
    })
  })
}
