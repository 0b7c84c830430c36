import { generateKeyPairSync, sign } from 'node:crypto'
import {
  generateSigningKeys,
  type PackageSignature,
  type SigningKeys,
  signPackage,
  verifyPackage,
} from '@aaas/core-cloud/cloudware'
import { CloudError } from '@aaas/core-cloud/kernel'
import { seededRandom } from '@aaas/testing'
import fc from 'fast-check'
import { test } from 'tap'
import { pack } from '../../src/cloudware/build-package.js'
import { canonicalJson } from '../../src/cloudware/canonical-json.js'

async function samplePackage(version = '1.0.0', text = 'export {}'): Promise<Uint8Array> {
  const json = {
    name: 'sample',
    version,
    aaas: { kind: 'cloudware', engine: '*', entry: 'index.js', hooks: [{ hook: 'order.place@1', kind: 'validate' }] },
  }
  return pack([
    { path: 'index.js', content: Buffer.from(text), executable: false },
    { path: 'package.json', content: Buffer.from(JSON.stringify(json)), executable: false },
  ])
}

function refusal(work: () => unknown): { code: string; reason: unknown } {
  try {
    work()
  } catch (error) {
    if (CloudError.is(error)) return { code: error.code, reason: error.details?.reason }
    throw error
  }
  return { code: 'accepted', reason: undefined }
}
const bad = (reason: string): { code: string; reason: string } => ({ code: 'core.cloudware.bad-signature', reason })

const keys: SigningKeys = generateSigningKeys()
const other: SigningKeys = generateSigningKeys()
const trust = { acme: keys.publicKeyPem }

test('what a trusted publisher signed is accepted, also after a trip through JSON', async t => {
  const tarball = await samplePackage()
  const signature = signPackage({ tarball, publisher: 'acme', privateKeyPem: keys.privateKeyPem })
  const { ref, packageJson, publisher } = verifyPackage({
    tarball,
    signature: JSON.parse(JSON.stringify(signature)),
    trust,
  })
  t.equal(publisher, 'acme')
  t.equal(packageJson.version, '1.0.0')
  t.equal(ref.digest, signature.statement.sha512)
})

test('a flipped bit anywhere in the package is refused', async t => {
  const tarball = await samplePackage()
  const signature = signPackage({ tarball, publisher: 'acme', privateKeyPem: keys.privateKeyPem })
  let refused = 0
  for (let at = 0; at < tarball.length; at++) {
    const changed = Uint8Array.from(tarball)
    changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8))
    if (refusal(() => verifyPackage({ tarball: changed, signature, trust })).reason === 'changed') refused += 1
  }
  t.equal(refused, tarball.length)
  t.same(
    refusal(() => verifyPackage({ tarball: tarball.subarray(1), signature, trust })),
    bad('changed'),
  )
  t.same(
    refusal(() => verifyPackage({ tarball: Buffer.concat([tarball, Buffer.alloc(1)]), signature, trust })),
    bad('changed'),
  )
})

test('a changed character anywhere in the signature file is refused', async t => {
  const tarball = await samplePackage()
  const text = JSON.stringify(signPackage({ tarball, publisher: 'acme', privateKeyPem: keys.privateKeyPem }))
  const random = seededRandom(7)
  let refused = 0
  for (let at = 0; at < text.length; at++) {
    const old = text.charCodeAt(at)
    const next = String.fromCharCode(33 + ((old - 33 + 1 + Math.floor(random() * 90)) % 94))
    const changed = text.slice(0, at) + next + text.slice(at + 1)
    let signature: unknown
    try {
      signature = JSON.parse(changed)
    } catch {
      refused += 1
      continue
    }
    if (refusal(() => verifyPackage({ tarball, signature, trust })).code === 'core.cloudware.bad-signature')
      refused += 1
    else t.fail(`accepted: ${changed}`)
  }
  t.equal(refused, text.length)
})

test('strangers, borrowed names and moved signatures are refused', async t => {
  const tarball = await samplePackage()
  const newer = await samplePackage('1.0.1')
  const signature = signPackage({ tarball, publisher: 'acme', privateKeyPem: keys.privateKeyPem })
  const forged = signPackage({ tarball, publisher: 'acme', privateKeyPem: other.privateKeyPem })
  const stranger = signPackage({ tarball, publisher: 'mallory', privateKeyPem: other.privateKeyPem })
  const renamed: PackageSignature = { ...signature, statement: { ...signature.statement, publisher: 'globex' } }
  const relabelled: PackageSignature = { ...signature, statement: { ...signature.statement, version: '9.9.9' } }
  const both = { ...trust, globex: other.publicKeyPem }
  t.same(
    refusal(() => verifyPackage({ tarball, signature: forged, trust })),
    bad('signature'),
  )
  t.same(
    refusal(() => verifyPackage({ tarball, signature: stranger, trust })),
    bad('unknown-publisher'),
  )
  t.same(
    refusal(() => verifyPackage({ tarball, signature: renamed, trust: both })),
    bad('signature'),
  )
  t.same(
    refusal(() => verifyPackage({ tarball, signature: relabelled, trust })),
    bad('signature'),
  )
  t.same(
    refusal(() => verifyPackage({ tarball: newer, signature, trust })),
    bad('changed'),
  )
  const inherited = { ...signature, statement: { ...signature.statement, publisher: 'constructor' } }
  t.same(
    refusal(() => verifyPackage({ tarball, signature: inherited, trust })),
    bad('unknown-publisher'),
  )
  for (const rubbish of [null, 5, 'x', [], {}, { ...signature, more: 1 }, { statement: signature.statement }]) {
    t.same(
      refusal(() => verifyPackage({ tarball, signature: rubbish, trust })),
      bad('malformed'),
    )
  }
})

test('a statement that names another package than it holds is refused, even from a trusted publisher', async t => {
  const tarball = await samplePackage()
  const { statement } = signPackage({ tarball, publisher: 'acme', privateKeyPem: keys.privateKeyPem })
  for (const lie of [{ name: 'other' }, { version: '2.0.0' }, { manifest: '0'.repeat(128) }]) {
    const lying = { ...statement, ...lie }
    const ed25519 = sign(null, Buffer.from(canonicalJson(lying)), keys.privateKeyPem).toString('hex')
    t.same(
      refusal(() => verifyPackage({ tarball, signature: { statement: lying, ed25519 }, trust })),
      bad('changed'),
    )
  }
})

test('keys rotate: while two are trusted both sign, a revoked one does not', async t => {
  const tarball = await samplePackage()
  const old = signPackage({ tarball, publisher: 'acme', privateKeyPem: keys.privateKeyPem })
  const fresh = signPackage({ tarball, publisher: 'acme', privateKeyPem: other.privateKeyPem })
  const two = { acme: [keys.publicKeyPem, other.publicKeyPem] }
  t.ok(verifyPackage({ tarball, signature: old, trust: two }))
  t.ok(verifyPackage({ tarball, signature: fresh, trust: two }))
  const revoked = { keys: [keys.publicKeyPem.replaceAll('\n', '\r\n')] }
  t.ok(verifyPackage({ tarball, signature: fresh, trust: two, revoked }))
  t.same(
    refusal(() => verifyPackage({ tarball, signature: old, trust: two, revoked })),
    bad('signature'),
  )
  t.same(
    refusal(() => verifyPackage({ tarball, signature: old, trust, revoked })),
    bad('revoked'),
  )
  t.same(
    refusal(() => verifyPackage({ tarball, signature: old, trust, revoked: { publishers: ['acme'] } })),
    bad('revoked'),
  )
  t.same(
    refusal(() => verifyPackage({ tarball, signature: old, trust, revoked: { digests: [old.statement.sha512] } })),
    bad('revoked'),
  )
})

test('a key of another kind, a private key in the trust file and a wrong name are configuration faults', async t => {
  const tarball = await samplePackage()
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const signature = signPackage({ tarball, publisher: 'acme', privateKeyPem: keys.privateKeyPem })
  const pem = rsa.publicKey.export({ format: 'pem', type: 'spki' }).toString()
  const config = { code: 'core.kernel.invalid-config', reason: undefined }
  for (const key of [pem, keys.privateKeyPem, 'rubbish']) {
    t.same(
      refusal(() => verifyPackage({ tarball, signature, trust: { acme: key } })),
      config,
    )
  }
  const rsaPrivate = rsa.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
  t.same(
    refusal(() => signPackage({ tarball, publisher: 'acme', privateKeyPem: rsaPrivate })),
    config,
  )
  t.same(
    refusal(() => signPackage({ tarball, publisher: 'acme', privateKeyPem: 'rubbish' })),
    config,
  )
  t.same(
    refusal(() => signPackage({ tarball, publisher: 'Acme Inc', privateKeyPem: keys.privateKeyPem })),
    config,
  )
})

test('canonical JSON does not depend on the order of keys, tells different values apart and reads back', async t => {
  const shuffled = (value: unknown, random: () => number): unknown => {
    if (Array.isArray(value)) return value.map(item => shuffled(item, random))
    if (typeof value !== 'object' || value === null) return value
    const members = Object.entries(value).map(([key, member]) => ({
      key,
      member: shuffled(member, random),
      at: random(),
    }))
    members.sort((a, b) => a.at - b.at)
    const copy: Record<string, unknown> = Object.create(null)
    for (const { key, member } of members) copy[key] = member
    return copy
  }
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), fc.jsonValue({ maxDepth: 4 }), fc.integer(), (one, two, seed) => {
      const text = canonicalJson(one)
      const plain = JSON.stringify(JSON.parse(JSON.stringify(one)))
      if (canonicalJson(shuffled(one, seededRandom(seed))) !== text) return false
      if (canonicalJson(JSON.parse(text)) !== text || text.length !== plain.length) return false
      return (canonicalJson(two) === text) === (canonicalJson(JSON.parse(JSON.stringify(two))) === text)
    }),
    { numRuns: 500 },
  )
  t.equal(
    canonicalJson({ b: 1, a: [undefined, { d: null, c: undefined }], '': '\u2028"' }),
    '{"":"\u2028\\"","a":[null,{"d":null}],"b":1}',
  )
  t.throws(() => canonicalJson({ a: Number.NaN }), TypeError)
  t.throws(() => canonicalJson({ a: 1n }), TypeError)
})
