import { createHash } from 'node:crypto'
import { PasswordHasher } from '@aaas/business-cloud/party'
import { type Actor, type Clock, CloudError, type Ids } from '@aaas/core-cloud/kernel'
import type { Database } from '@aaas/support-cloud/rdbms'

export type Role = 'admin' | 'operator' | 'viewer'

/** What each role may do. */
export const roleScopes: Readonly<Record<Role, readonly string[]>> = {
  admin: ['*'],
  operator: ['site.read', 'site.operate', 'site.write'],
  viewer: ['site.read'],
}

/** A logged-in person. */
export interface ConsoleSession {
  readonly user: string
  readonly role: Role
  readonly actor: Actor
  /** What every form of this session must carry. */
  readonly csrf: string
}

const sessionMs = 12 * 3_600_000
/** Wrong tries of one name before it is locked, and for how long. */
const maxTries = 10
const lockMs = 15 * 60_000
const maxTracked = 10_000

interface Tries {
  count: number
  until: number
}

/** People who may use the console. Passwords are kept by scrypt, sessions by the hash of their token. */
export class ConsoleUsers {
  readonly #tries = new Map<string, Tries>()
  readonly #hasher: PasswordHasher

  constructor(readonly deps: { readonly database: Database; readonly clock: Clock; readonly ids: Ids }) {
    this.#hasher = new PasswordHasher({ ids: deps.ids })
  }

  /** Makes the user unless there is one of this name. */
  async ensure(name: string, role: Role, password: string): Promise<void> {
    const rows = await this.deps.database.query({ text: 'select name from console_user where name = $1', values: [name] })
    if (rows.length > 0) return
    await this.deps.database.query({
      text: 'insert into console_user(name, password, role) values ($1, $2, $3) on conflict do nothing',
      values: [name, await this.#hasher.hash(password), role],
    })
  }

  /**
   * Opens a session. An unknown name takes as long as a wrong password.
   * @throws CloudError `site.console.bad-login`, `core.contract.rate-limited` after ten wrong tries in 15 minutes.
   */
  async login(name: string, password: string): Promise<{ readonly token: string; readonly session: ConsoleSession }> {
    this.#admit(name)
    const rows = await this.deps.database.query<{ password: string; role: Role }>({
      text: 'select password, role from console_user where name = $1',
      values: [name],
    })
    const row = rows[0]
    const outcome = await this.#hasher.verify(password, row?.password)
    if (row === undefined || outcome === 'wrong') {
      this.#count(name)
      throw new CloudError('site.console.bad-login', 'name or password is wrong')
    }
    this.#tries.delete(name)
    const token = this.deps.ids.token(32)
    const csrf = this.deps.ids.token(16)
    await this.deps.database.query({
      text: `with gone as (delete from console_session where expires_at < to_timestamp($4 / 1000.0))
        insert into console_session(token_hash, user_name, csrf, expires_at) values ($1, $2, $3, to_timestamp($5 / 1000.0))`,
      values: [hashOf(token), name, csrf, this.deps.clock.now(), this.deps.clock.now() + sessionMs],
    })
    return { token, session: sessionOf(name, row.role, csrf) }
  }

  async session(token: string): Promise<ConsoleSession | undefined> {
    const rows = await this.deps.database.query<{ name: string; role: Role; csrf: string }>({
      text: `select u.name, u.role, s.csrf from console_session s join console_user u on u.name = s.user_name
        where s.token_hash = $1 and s.expires_at > to_timestamp($2 / 1000.0)`,
      values: [hashOf(token), this.deps.clock.now()],
      name: 'console-session',
    })
    const row = rows[0]
    return row === undefined ? undefined : sessionOf(row.name, row.role, row.csrf)
  }

  async logout(token: string): Promise<void> {
    await this.deps.database.query({ text: 'delete from console_session where token_hash = $1', values: [hashOf(token)] })
  }

  async list(): Promise<readonly { readonly name: string; readonly role: Role }[]> {
    return this.deps.database.query({ text: 'select name, role from console_user order by name limit 500' })
  }

  #admit(name: string): void {
    const tries = this.#tries.get(name)
    if (tries === undefined || tries.until <= this.deps.clock.monotonic() || tries.count < maxTries) return
    throw new CloudError('core.contract.rate-limited', 'too many wrong tries; wait 15 minutes', { details: { retryAfterMs: lockMs } })
  }

  #count(name: string): void {
    const now = this.deps.clock.monotonic()
    const tries = this.#tries.get(name)
    if (tries !== undefined && tries.until > now) {
      tries.count += 1
      return
    }
    if (this.#tries.size >= maxTracked) this.#tries.clear()
    this.#tries.set(name, { count: 1, until: now + lockMs })
  }
}

function sessionOf(user: string, role: Role, csrf: string): ConsoleSession {
  return { user, role, csrf, actor: { id: user, scopes: roleScopes[role] } }
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}
