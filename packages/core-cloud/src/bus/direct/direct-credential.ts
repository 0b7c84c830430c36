import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { CloudError } from '../../kernel/errors.js'
import { type BusIdentity, identityForm } from '../link.js'
import { isPattern } from '../subject.js'

/** Most characters of a credential: what a connection may show before it is known is bounded by it. */
export const maxCredentialChars = 8_192
/** Patterns of one kind in a credential. */
const maxPatterns = 256
/** Credentials found good before. */
const maxRemembered = 4_096

const label = 'aaas-direct-credential-1\n'
const textForm = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}$/

const statementForm = Compile(
  Type.Object(
    {
      cluster: Type.String({ minLength: 1, maxLength: 128 }),
      name: Type.String({ pattern: identityForm.source }),
      kind: Type.String({ pattern: '^[\\x21-\\x7e]{1,64}$' }),
      publish: Type.Array(Type.String({ maxLength: 255 }), { maxItems: maxPatterns }),
      subscribe: Type.Array(Type.String({ maxLength: 255 }), { maxItems: maxPatterns }),
      key: Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' }),
      from: Type.Integer({ minimum: 0 }),
      until: Type.Integer({ minimum: 0 }),
    },
    { additionalProperties: false },
  ),
)

/** What an issuer vouches for: who holds a key, and what it may do. */
export interface DirectCredential {
  readonly identity: BusIdentity
  /** Raw ed25519 public key, base64url. */
  readonly key: string
  readonly publicKey: KeyObject
  /** Epoch milliseconds: good from `from` until before `until`. */
  readonly from: number
  readonly until: number
}

/**
 * Signs who may call directly and be called directly. Whoever runs the hub holds the issuer's key: a credential must
 * give no right that the hub does not give to the same name.
 * @param options.publicKey - ed25519 key of the one it is for (`generateKeyPairSync('ed25519')`).
 * @param options.cluster - 1 to 128 characters; credentials of another cluster are refused.
 * @param options.from - epoch milliseconds, as `until`. Give days, not years: there is no other way to take it back.
 * @throws CloudError `core.kernel.invalid-config` with the wrong field.
 */
export function issueDirectCredential(options: {
  readonly issuerKey: KeyObject
  readonly publicKey: KeyObject
  readonly identity: BusIdentity
  readonly cluster: string
  readonly from: number
  readonly until: number
}): string {
  const { issuerKey, identity, cluster, from, until } = options
  if (issuerKey.asymmetricKeyType !== 'ed25519' || issuerKey.type !== 'private')
    throw misconfigured('issuerKey', 'the issuer signs with a private ed25519 key')
  const key = rawKey(options.publicKey)
  for (const field of ['publish', 'subscribe'] as const) {
    if (!identity[field].every(isPattern)) throw misconfigured(field, `${field} holds something that is no pattern`)
  }
  const { name, kind, publish, subscribe } = identity
  const statement = { cluster, name, kind, publish: [...publish], subscribe: [...subscribe], key, from, until }
  if (!statementForm.Check(statement) || from >= until) {
    const field = statementForm.Errors(statement)[0]?.instancePath.slice(1) ?? 'until'
    throw misconfigured(field, `a credential cannot say this of ${field}`)
  }
  const body = Buffer.from(JSON.stringify(statement))
  const signature = sign(null, Buffer.concat([Buffer.from(label), body]), issuerKey)
  const text = `${body.toString('base64url')}.${signature.toString('base64url')}`
  if (text.length > maxCredentialChars)
    throw misconfigured('publish', `a credential of ${text.length} characters; at most ${maxCredentialChars}`)
  return text
}

/** Checks credentials against the keys of the issuers that are trusted; remembers those it found good. */
export class CredentialCheck {
  readonly #issuers: readonly KeyObject[]
  readonly #cluster: string
  readonly #good = new Map<string, DirectCredential>()

  /** @param options.issuers - public ed25519 keys; several while one replaces another. */
  constructor(options: { readonly issuers: readonly KeyObject[]; readonly cluster: string }) {
    if (options.issuers.length === 0) throw misconfigured('issuers', 'nobody is trusted to issue credentials')
    for (const issuer of options.issuers) rawKey(issuer)
    this.#issuers = options.issuers
    this.#cluster = options.cluster
  }

  /** @throws CloudError `core.bus.bad-signature`. */
  read(text: string, now: number): DirectCredential {
    const credential = this.#good.get(text) ?? this.#verify(text)
    if (now < credential.from || now >= credential.until)
      throw untrusted(`the credential of ${credential.identity.name} is not valid at this time`)
    return credential
  }

  #verify(text: string): DirectCredential {
    if (text.length > maxCredentialChars || !textForm.test(text)) throw untrusted('this is no credential')
    const dot = text.length - 87
    const body = Buffer.from(text.slice(0, dot), 'base64url')
    const signed = Buffer.concat([Buffer.from(label), body])
    const signature = Buffer.from(text.slice(dot + 1), 'base64url')
    // The last character has bits that nobody reads: one credential, one text.
    if (`${body.toString('base64url')}.${signature.toString('base64url')}` !== text)
      throw untrusted('the credential is not written as credentials are')
    if (!this.#issuers.some(issuer => verify(null, signed, issuer, signature)))
      throw untrusted('the credential is not signed by an issuer that is trusted here')
    const credential = this.#parse(body)
    if (this.#good.size >= maxRemembered) this.#good.clear()
    this.#good.set(text, credential)
    return credential
  }

  #parse(body: Buffer): DirectCredential {
    let value: unknown
    try {
      value = JSON.parse(body.toString('utf8'))
    } catch (cause) {
      throw untrusted('the credential cannot be read', cause)
    }
    if (!statementForm.Check(value)) throw untrusted('the credential has not the form of one')
    const { cluster, name, kind, publish, subscribe, key, from, until } = value
    if (cluster !== this.#cluster) throw untrusted(`the credential of ${name} is for another cluster`)
    if (![...publish, ...subscribe].every(isPattern)) throw untrusted('the credential has a malformed pattern')
    return { identity: { name, kind, publish, subscribe }, key, publicKey: keyOf(key), from, until }
  }
}

/** Raw public key of an ed25519 key pair, base64url. @throws CloudError `core.kernel.invalid-config`. */
export function rawKey(key: KeyObject): string {
  const { x } = key.asymmetricKeyType === 'ed25519' ? key.export({ format: 'jwk' }) : {}
  if (x === undefined) throw misconfigured('publicKey', 'the key is not an ed25519 key')
  return x
}

function keyOf(x: string): KeyObject {
  try {
    return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
  } catch (cause) {
    throw untrusted('the credential has no usable key', cause)
  }
}

export function untrusted(text: string, cause?: unknown): CloudError {
  return new CloudError('core.bus.bad-signature', text, cause === undefined ? {} : { cause })
}

function misconfigured(field: string, text: string): CloudError {
  return new CloudError('core.kernel.invalid-config', text, { field })
}
