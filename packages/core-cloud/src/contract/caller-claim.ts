import { type KeyObject, sign, verify } from 'node:crypto'
import type { Clock } from '../kernel/clock.js'
import type { Actor } from '../kernel/context.js'
import { CloudError } from '../kernel/errors.js'

/** For whom a call is made. */
export interface Caller {
  readonly tenant?: string | undefined
  readonly actor?: Actor | undefined
}

/** Says in writing who calls. */
export interface CallerSigner {
  /** @param audience - the contract's name. @returns at most 4,096 characters, for the header `caller`. */
  sign(caller: Caller, audience: string): string
}

/** Finds out who calls. What it returns is shared between calls and frozen. */
export interface CallerVerifier {
  /**
   * @param claim - undefined when none came.
   * @throws CloudError `core.bus.bad-signature`; `details.reason` is `missing`, `malformed`, `unknown-key`, `tampered`,
   *   `expired`, `not-yet-valid`, `wrong-audience` or `lifetime`.
   */
  verify(claim: string | undefined, audience: string): Caller
}

/** An ed25519 key. `id` is 1 to 64 of `A-Z a-z 0-9 _ -`. */
export interface CallerKey {
  readonly id: string
  readonly key: KeyObject
}

/** Public keys that are trusted, by id. */
export interface CallerKeyRing {
  get(id: string): KeyObject | undefined
  /** From now on claims of this key count. At most 64 keys. @throws Error for one that is not ed25519. */
  add(key: CallerKey): void
  /** From now on claims of this key are refused, known ones too. */
  remove(id: string): void
  /** Grows with every change. */
  readonly revision: number
}

export interface CallerSignerOptions {
  /** The private key. */
  readonly key: CallerKey
  readonly clock: Clock
  /** `*`: one claim for every contract, which any server may show to another. Default: the contract that is called. */
  readonly audience?: '*'
  /** Milliseconds a claim is valid, 1_000 to 300_000; default 60_000. */
  readonly lifetimeMs?: number
  /** Milliseconds in which the same claim is sent again, less than the lifetime; default half of it. */
  readonly reuseMs?: number
  /** Claims that are kept, default 1_024; the oldest go first. */
  readonly maxCached?: number
}

export interface CallerVerifierOptions {
  readonly keys: CallerKeyRing
  readonly clock: Clock
  /** Milliseconds that the caller's clock may differ; default 5_000. */
  readonly skewMs?: number
  /** Longest lifetime a claim may have, milliseconds; default 300_000. */
  readonly maxLifetimeMs?: number
  /** Claims known to be right, default 4_096; those not seen for longest go first. */
  readonly maxCached?: number
}

interface ClaimBody {
  readonly kid: string
  readonly aud: string
  /** Epoch milliseconds. */
  readonly iat: number
  readonly exp: number
  readonly tenant?: string
  readonly actor?: Actor
}

const maxClaimLength = 4_096
const maxKeys = 64
const keyIdForm = /^[A-Za-z0-9_-]{1,64}$/
// What is signed begins with its purpose, so that a signature of this key means nothing elsewhere and the other way round.
const purpose = 'aaas-caller-v1.'

/** A key ring that starts with these keys. Rotation: add the new key everywhere, sign with it, remove the old one. */
export function callerKeyRing(keys: readonly CallerKey[] = []): CallerKeyRing {
  const byId = new Map<string, KeyObject>()
  let revision = 0
  const ring: CallerKeyRing = {
    get: id => byId.get(id),
    add(added) {
      checkKey(added, 'public')
      if (byId.size >= maxKeys && !byId.has(added.id)) throw new Error(`a key ring holds at most ${maxKeys} keys`)
      byId.set(added.id, added.key)
      revision += 1
    },
    remove(id) {
      if (byId.delete(id)) revision += 1
    },
    get revision() {
      return revision
    },
  }
  for (const key of keys) ring.add(key)
  return ring
}

function checkKey({ id, key }: CallerKey, type: 'public' | 'private'): void {
  if (!keyIdForm.test(id)) throw new Error(`key id '${id.slice(0, 64)}' is not 1 to 64 of A-Z a-z 0-9 _ -`)
  if (key.type !== type || key.asymmetricKeyType !== 'ed25519')
    throw new Error(`key ${id} is not a ${type} ed25519 key`)
}

/**
 * Signs with ed25519 (RFC 8032). Claims are bearers: whoever sees one may use it until it ends, so their lives are short
 * and they are for one contract. A claim is made once per caller and audience and sent again for `reuseMs`.
 */
export function callerSigner(options: CallerSignerOptions): CallerSigner & { rotate(key: CallerKey): void } {
  const { clock, lifetimeMs = 60_000, maxCached = 1_024 } = options
  const reuseMs = options.reuseMs ?? lifetimeMs / 2
  if (!(lifetimeMs >= 1_000 && lifetimeMs <= 300_000)) throw new Error('lifetimeMs must be 1,000 to 300,000')
  if (!(reuseMs >= 0 && reuseMs < lifetimeMs)) throw new Error('reuseMs must be less than lifetimeMs')
  checkKey(options.key, 'private')
  let { key } = options
  const made = new Map<string, { readonly claim: string; readonly from: number }>()
  return {
    sign({ tenant, actor }, audience) {
      const aud = options.audience ?? audience
      const now = clock.now()
      const name = nameOf(aud, tenant, actor)
      const known = made.get(name)
      if (known !== undefined && now >= known.from && now - known.from < reuseMs) return known.claim
      const body: ClaimBody = {
        kid: key.id,
        aud,
        iat: now,
        exp: now + lifetimeMs,
        ...(tenant === undefined ? {} : { tenant }),
        ...(actor === undefined ? {} : { actor: { id: actor.id, scopes: actor.scopes } }),
      }
      const claim = signed(body, key)
      made.delete(name)
      if (made.size >= maxCached) made.delete(made.keys().next().value as string)
      made.set(name, { claim, from: now })
      return claim
    },
    rotate(next) {
      checkKey(next, 'private')
      key = next
      made.clear()
    },
  }
}

/** Names a claim. The parts may hold any character: their lengths keep them apart. */
function nameOf(aud: string, tenant: string | undefined, actor: Actor | undefined): string {
  let name = `${aud.length}:${aud}${tenant === undefined ? '-' : `${tenant.length}:${tenant}`}`
  if (actor === undefined) return name
  name += `@${actor.id.length}:${actor.id}`
  for (const scope of actor.scopes) name += `${scope.length}:${scope}`
  return name
}

function signed(body: ClaimBody, { key }: CallerKey): string {
  const text = Buffer.from(JSON.stringify(body)).toString('base64url')
  const claim = `${text}.${sign(null, Buffer.from(purpose + text), key).toString('base64url')}`
  if (claim.length <= maxClaimLength) return claim
  throw new CloudError('core.contract.payload-too-large', 'the caller has too many or too long scopes to be named', {
    field: 'actor',
  })
}

/** A claim that is asked for again goes to the end of the order at most this often, milliseconds. */
const touchMs = 1_000

interface KnownClaim {
  /** When it last went to the end of the order in which claims are forgotten. */
  touchedAt: number
  readonly caller: Caller
  readonly aud: string
  readonly iat: number
  readonly exp: number
}

/** Verifies what {@link callerSigner} signed. The same claim is verified once; its time and audience every time. */
export function callerVerifier(options: CallerVerifierOptions): CallerVerifier {
  const { keys, clock, skewMs = 5_000, maxLifetimeMs = 300_000, maxCached = 4_096 } = options
  const known = new Map<string, KnownClaim>()
  let revision = keys.revision
  return {
    verify(claim, audience) {
      if (claim === undefined) throw refused('missing', 'the call does not say who makes it')
      if (revision !== keys.revision) {
        known.clear()
        revision = keys.revision
      }
      const now = clock.now()
      let found = known.get(claim)
      if (found === undefined) {
        found = verified(claim, keys, maxLifetimeMs)
        if (known.size >= maxCached) known.delete(known.keys().next().value as string)
        known.set(claim, found)
      } else if (now - found.touchedAt >= touchMs) {
        known.delete(claim)
        known.set(claim, found)
        found.touchedAt = now
      }
      if (now >= found.exp + skewMs) {
        known.delete(claim)
        throw refused('expired', 'what says who calls is too old')
      }
      if (now < found.iat - skewMs) throw refused('not-yet-valid', 'what says who calls is of a later time')
      if (found.aud !== audience && found.aud !== '*')
        throw refused('wrong-audience', `what says who calls is not for ${audience}`)
      return found.caller
    },
  }
}

function verified(claim: string, keys: CallerKeyRing, maxLifetimeMs: number): KnownClaim {
  const dot = claim.indexOf('.')
  if (claim.length > maxClaimLength || dot < 1) throw refused('malformed', 'what says who calls has the wrong form')
  const text = claim.slice(0, dot)
  const body = readBody(text)
  const key = keys.get(body.kid)
  if (key === undefined) throw refused('unknown-key', `the key ${body.kid} is not trusted`)
  const signature = Buffer.from(claim.slice(dot + 1), 'base64url')
  // Another spelling of the same bytes would be a way around the cache's bound.
  const canonical = signature.length === 64 && signature.toString('base64url') === claim.slice(dot + 1)
  if (!canonical || !verify(null, Buffer.from(purpose + text), key, signature))
    throw refused('tampered', 'what says who calls was changed, or is not of the key it names')
  if (body.exp - body.iat > maxLifetimeMs) throw refused('lifetime', 'what says who calls is valid for too long')
  const caller: Caller = {
    ...(body.tenant === undefined ? {} : { tenant: body.tenant }),
    ...(body.actor === undefined
      ? {}
      : { actor: Object.freeze({ id: body.actor.id, scopes: Object.freeze([...body.actor.scopes]) }) }),
  }
  return { caller: Object.freeze(caller), aud: body.aud, iat: body.iat, exp: body.exp, touchedAt: body.iat }
}

function readBody(text: string): ClaimBody {
  let body: unknown
  try {
    body = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
  } catch {
    body = undefined
  }
  if (isClaimBody(body)) return body
  throw refused('malformed', 'what says who calls has the wrong form')
}

function isClaimBody(value: unknown): value is ClaimBody {
  if (typeof value !== 'object' || value === null) return false
  const { kid, aud, iat, exp, tenant, actor } = value as Readonly<Record<string, unknown>>
  return (
    typeof kid === 'string' &&
    keyIdForm.test(kid) &&
    typeof aud === 'string' &&
    Number.isSafeInteger(iat) &&
    Number.isSafeInteger(exp) &&
    (tenant === undefined || typeof tenant === 'string') &&
    (actor === undefined || isActor(actor))
  )
}

export function isActor(value: unknown): value is Actor {
  if (typeof value !== 'object' || value === null) return false
  const { id, scopes } = value as Readonly<Record<string, unknown>>
  return typeof id === 'string' && Array.isArray(scopes) && scopes.every(scope => typeof scope === 'string')
}

function refused(reason: string, text: string): CloudError {
  return new CloudError('core.bus.bad-signature', text, { details: { reason } })
}
