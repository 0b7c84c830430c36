import { createHash } from 'node:crypto'
import { PasswordHasher } from '@aaas/business-cloud/party'
import { type Actor, type Clock, CloudError, type Ids } from '@aaas/core-cloud/kernel'
import type { Database, Queryable } from '@aaas/support-cloud/rdbms'
import { LoginThrottle } from './login-throttle.js'

export const roles = ['admin', 'operator', 'viewer'] as const
export type Role = (typeof roles)[number]

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

export interface ConsoleUser {
  readonly name: string
  readonly role: Role
  /** Epoch milliseconds. */
  readonly createdAt: number
}

const sessionMs = 12 * 3_600_000
const leastPassword = 12
const mostPassword = 200
const mostUsers = 500
const namePattern = /^[a-z0-9][a-z0-9._@-]{0,63}$/

/** People who may use the console. Passwords are kept by scrypt, sessions by the hash of their token. */
export class ConsoleUsers {
  readonly #throttle: LoginThrottle
  readonly #hasher: PasswordHasher

  constructor(
    readonly deps: {
      readonly database: Database
      readonly clock: Clock
      readonly ids: Ids
      /** Default: one at today's cost. */
      readonly passwords?: PasswordHasher
    },
  ) {
    this.#throttle = new LoginThrottle(deps.clock)
    this.#hasher = deps.passwords ?? new PasswordHasher({ ids: deps.ids })
  }

  /** Makes the user `admin` when nobody may administer: at the first start. */
  async ensureAdmin(password: string): Promise<void> {
    const rows = await this.deps.database.query({ text: `select name from console_user where role = 'admin' limit 1` })
    if (rows.length > 0) return
    await this.deps.database.query({
      text: `insert into console_user(name, password, role) values ('admin', $1, 'admin') on conflict do nothing`,
      values: [await this.#hasher.hash(password)],
    })
  }

  /**
   * Opens a session. An unknown name takes as long as a wrong password.
   * @throws CloudError `site.console.bad-login`, `core.contract.rate-limited` after ten wrong tries in 15 minutes.
   */
  async login(name: string, password: string): Promise<{ readonly token: string; readonly session: ConsoleSession }> {
    if (name.length > 64 || password.length > mostPassword) throw badLogin()
    this.#throttle.count(name)
    const row = await this.#verify(name, password)
    if (row === undefined) throw badLogin()
    this.#throttle.clear(name)
    const token = this.deps.ids.token(32)
    const csrf = this.deps.ids.token(16)
    await this.deps.database.query({
      text: `with gone as (delete from console_session where expires_at < to_timestamp($4 / 1000.0))
        insert into console_session(token_hash, user_name, csrf, expires_at) values ($1, $2, $3, to_timestamp($5 / 1000.0))`,
      values: [hashOf(token), name, csrf, this.deps.clock.now(), this.deps.clock.now() + sessionMs],
    })
    return { token, session: sessionOf(name, row.role, csrf) }
  }

  /** The role is read each time: a changed one counts from the next request. */
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
    await this.deps.database.query({
      text: 'delete from console_session where token_hash = $1',
      values: [hashOf(token)],
    })
  }

  async list(): Promise<readonly ConsoleUser[]> {
    return this.deps.database.query<ConsoleUser>({
      text: `select name, role, (extract(epoch from created_at) * 1000)::bigint as "createdAt" from console_user order by name limit $1`,
      values: [mostUsers],
    })
  }

  /**
   * @param password - empty: one is made.
   * @returns the password.
   * @throws CloudError `core.contract.invalid-input` (fields `name`, `role`, `password`), `site.console.user-exists`.
   */
  async create(name: string, role: string, password: string): Promise<string> {
    if (!namePattern.test(name)) {
      throw invalid(
        'name',
        'must have 1 to 64 lower-case letters, digits and . _ @ -, and begin with a letter or digit',
      )
    }
    const wanted = checkRole(role)
    const secret = this.#newPassword(password)
    const hash = await this.#hasher.hash(secret)
    await this.deps.database.transaction(async tx => {
      await lockUsers(tx)
      const [count] = await tx.query<{ users: number; taken: number }>({
        text: 'select count(*) as users, count(*) filter (where name = $1) as taken from console_user',
        values: [name],
      })
      if ((count?.taken ?? 0) > 0)
        throw new CloudError('site.console.user-exists', `there is a user '${name}' already`, { field: 'name' })
      if ((count?.users ?? 0) >= mostUsers)
        throw invalid('name', `is one too many: the console takes ${mostUsers} users`)
      await tx.query({
        text: 'insert into console_user(name, password, role) values ($1, $2, $3)',
        values: [name, hash, wanted],
      })
    })
    return secret
  }

  /** @throws CloudError `site.console.unknown-user`, `site.console.last-admin`, `core.contract.invalid-input`. */
  async setRole(name: string, role: string): Promise<void> {
    const wanted = checkRole(role)
    await this.deps.database.transaction(async tx => {
      await lockUsers(tx)
      if (wanted !== 'admin') await mustNotBeLastAdmin(tx, name)
      await mustHit(
        tx.query({ text: 'update console_user set role = $2 where name = $1 returning name', values: [name, wanted] }),
        name,
      )
    })
  }

  /** Ends the sessions of the user too. @throws CloudError `site.console.unknown-user`, `site.console.last-admin`. */
  async remove(name: string): Promise<void> {
    await this.deps.database.transaction(async tx => {
      await lockUsers(tx)
      await mustNotBeLastAdmin(tx, name)
      await mustHit(tx.query({ text: 'delete from console_user where name = $1 returning name', values: [name] }), name)
    })
  }

  /**
   * Gives a user another password and ends their sessions.
   * @param password - empty: one is made. @returns the password.
   */
  async resetPassword(name: string, password: string): Promise<string> {
    const secret = this.#newPassword(password)
    await this.#storePassword(name, secret, '')
    this.#throttle.clear(name)
    return secret
  }

  /**
   * Changes one's own password; other sessions end, the one of `token` goes on.
   * @throws CloudError `site.console.bad-login` when the old one is wrong, which counts as a wrong try to log in.
   */
  async changePassword(name: string, old: string, password: string, token: string): Promise<void> {
    const secret = checkPassword(password)
    this.#throttle.count(name)
    if ((await this.#verify(name, old)) === undefined) {
      throw new CloudError('site.console.bad-login', 'the password now is wrong', { field: 'old' })
    }
    this.#throttle.clear(name)
    await this.#storePassword(name, secret, hashOf(token))
  }

  async #verify(name: string, password: string): Promise<{ readonly role: Role } | undefined> {
    const rows = await this.deps.database.query<{ password: string; role: Role }>({
      text: 'select password, role from console_user where name = $1',
      values: [name],
    })
    const outcome = await this.#hasher.verify(password, rows[0]?.password)
    return outcome === 'wrong' ? undefined : rows[0]
  }

  async #storePassword(name: string, password: string, keep: string): Promise<void> {
    const hash = await this.#hasher.hash(password)
    await this.deps.database.transaction(async tx => {
      await mustHit(
        tx.query({
          text: 'update console_user set password = $2 where name = $1 returning name',
          values: [name, hash],
        }),
        name,
      )
      await tx.query({
        text: 'delete from console_session where user_name = $1 and token_hash <> $2',
        values: [name, keep],
      })
    })
  }

  #newPassword(given: string): string {
    return given === '' ? this.deps.ids.token(15) : checkPassword(given)
  }
}

/** One change of users at a time: two that each see another administrator must not both remove one. */
async function lockUsers(tx: Queryable): Promise<void> {
  await tx.query({ text: 'select pg_advisory_xact_lock(4160, 2)' })
}

async function mustNotBeLastAdmin(tx: Queryable, name: string): Promise<void> {
  const others = await tx.query({
    text: `select name from console_user where role = 'admin' and name <> $1
      or not exists (select from console_user where name = $1 and role = 'admin') limit 1`,
    values: [name],
  })
  if (others.length > 0) return
  throw new CloudError('site.console.last-admin', `${name} is the last administrator`, { field: 'name' })
}

async function mustHit(changed: Promise<readonly object[]>, name: string): Promise<void> {
  if ((await changed).length > 0) return
  throw new CloudError('site.console.unknown-user', `there is no user '${name}'`, { field: 'name' })
}

function checkRole(role: string): Role {
  const known = roles.find(one => one === role)
  if (known === undefined) throw invalid('role', `must be one of ${roles.join(', ')}`)
  return known
}

function checkPassword(password: string): string {
  if (password.length < leastPassword) throw invalid('password', `must have at least ${leastPassword} characters`)
  if (password.length > mostPassword) throw invalid('password', `may have at most ${mostPassword} characters`)
  return password
}

function invalid(field: string, reason: string): CloudError {
  return new CloudError('core.contract.invalid-input', `${field} ${reason}`, { field })
}

function badLogin(): CloudError {
  return new CloudError('site.console.bad-login', 'name or password is wrong')
}

function sessionOf(user: string, role: Role, csrf: string): ConsoleSession {
  return { user, role, csrf, actor: { id: user, scopes: roleScopes[role] } }
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}
