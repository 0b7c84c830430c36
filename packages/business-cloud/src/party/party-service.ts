import { createHash } from 'node:crypto'
import type { Handlers } from '@aaas/core-cloud/contract'
import { type Clock, CloudError, type Ids } from '@aaas/core-cloud/kernel'
import type { Database } from '@aaas/support-cloud/rdbms'
import type { Party, partyContract } from './party-contract.js'
import {
  beginLogin,
  endSession,
  finishLogin,
  insertParty,
  partyBySession,
  partyGroups,
  purgeParty,
  writeGroups,
} from './party-store.js'
import { PasswordHasher, type ScryptCost } from './password.js'

export interface PartyDeps {
  readonly db: Database
  readonly clock: Clock
  readonly ids: Ids
  /** Cost of a password hash; tests take a small one. Stored hashes keep theirs and are renewed at the next login. */
  readonly passwordCost?: ScryptCost
}

interface Opened {
  readonly party: Party
  readonly sessionToken: string
}

const tokenPattern = /^[a-z2-7]{52}$/

/** Registered buyers and their sessions. One round trip a call, two for a login. */
export class PartyService implements Handlers<typeof partyContract> {
  readonly #hasher: PasswordHasher

  constructor(readonly deps: PartyDeps) {
    this.#hasher = new PasswordHasher({
      ids: deps.ids,
      ...(deps.passwordCost === undefined ? {} : { cost: deps.passwordCost }),
    })
  }

  /** @throws CloudError `business.party.taken`; `core.contract.invalid-input` naming the field. */
  async register(input: { readonly email: string; readonly password: string; readonly name: string }): Promise<Opened> {
    const email = normalEmail(input.email)
    const name = input.name.trim().normalize('NFC')
    if (name === '' || /[\p{Cc}\p{Cs}]/u.test(name)) throw invalid('name', 'must be a name without control characters')
    const passwordHash = await this.#hasher.hash(input.password)
    const session = this.#newSession()
    const party = await insertParty(this.deps.db, { id: this.deps.ids.uuid(), name, email, passwordHash }, session)
    if (party === undefined)
      throw new CloudError('business.party.taken', 'the e-mail address is registered already', { field: 'email' })
    return { party, sessionToken: session.token }
  }

  /**
   * Takes as long for an unknown address as for a wrong password.
   * @throws CloudError `business.party.bad-credentials`; `core.contract.rate-limited` with `details.retryAfterMs` while
   *   the address is locked, whatever the password.
   */
  async login(input: { readonly email: string; readonly password: string }): Promise<Opened> {
    const email = normalEmail(input.email)
    const { db } = this.deps
    const now = this.#now()
    const { lockedUntil, party, passwordHash } = await beginLogin(db, email, now)
    if (lockedUntil !== undefined) {
      throw new CloudError('core.contract.rate-limited', 'too many wrong passwords for this address; try again later', {
        details: { retryAfterMs: lockedUntil - now },
      })
    }
    const outcome = await this.#hasher.verify(input.password, passwordHash)
    if (outcome === 'wrong' || party === undefined) {
      throw new CloudError('business.party.bad-credentials', 'e-mail address or password is wrong')
    }
    const newHash = outcome === 'weak' ? await this.#hasher.hash(input.password) : undefined
    const session = this.#newSession()
    await finishLogin(db, { partyId: party.partyId, email, newHash }, session)
    return { party, sessionToken: session.token }
  }

  async bySession(input: { readonly sessionToken: string }): Promise<{ party?: Party }> {
    // What cannot be a token of ours costs no query.
    if (!tokenPattern.test(input.sessionToken)) return {}
    const party = await partyBySession(this.deps.db, hashed(input.sessionToken), this.#now())
    return party === undefined ? {} : { party }
  }

  async logout(input: { readonly sessionToken: string }): Promise<Record<string, never>> {
    if (tokenPattern.test(input.sessionToken)) await endSession(this.deps.db, hashed(input.sessionToken))
    return {}
  }

  /** @throws CloudError `business.party.unknown` */
  async setGroups(input: { readonly email: string; readonly groups: readonly string[] }): Promise<Party> {
    const groups = [...new Set(input.groups)].sort()
    const party = await writeGroups(this.deps.db, normalEmail(input.email), groups)
    if (party === undefined)
      throw new CloudError('business.party.unknown', 'no buyer with this e-mail address', { field: 'email' })
    return party
  }

  /** Groups of a buyer, such as `vip`; none for a buyer that is not known. */
  async groupsOf(partyId: string): Promise<readonly string[]> {
    return partyGroups(this.deps.db, partyId)
  }

  /** Drops sessions that ended and login counts that no longer matter; run it every hour or so. @returns rows dropped. */
  async purge(options: { readonly signal?: AbortSignal } = {}): Promise<number> {
    return purgeParty(this.deps.db, this.#now(), options.signal)
  }

  #newSession(): { readonly token: string; readonly tokenHash: string; readonly now: number } {
    const token = this.deps.ids.token(32)
    return { token, tokenHash: hashed(token), now: this.#now() }
  }

  #now(): number {
    return Math.floor(this.deps.clock.now())
  }
}

function hashed(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}

/** One spelling for one mailbox: full-width forms folded, lower case. The part before the at sign is ours to fold. */
function normalEmail(email: string): string {
  const normal = email.normalize('NFKC').trim().toLowerCase()
  // Checked again, because folding can make a space or a second at sign out of a harmless character.
  if (normal.length > 254 || !/^[^@\s\p{C}]+@[^@\s\p{C}]+$/u.test(normal))
    throw invalid('email', 'is not an e-mail address')
  return normal
}

function invalid(field: string, reason: string): CloudError {
  return new CloudError('core.contract.invalid-input', `${field} ${reason}`, { field })
}
