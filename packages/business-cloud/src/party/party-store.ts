import type { Queryable } from '@aaas/support-cloud/rdbms'
import type { Party } from './party-contract.js'

const dayMs = 24 * 3_600_000
const sessionMs = 30 * dayMs
/** Sessions of one buyer at a time; the oldest fall off. */
const maxSessions = 20
const maxTries = 10
const windowMs = 15 * 60_000
const purgeBatch = 1_000

interface PartyRow {
  readonly id: string
  readonly kind: Party['kind']
  readonly name: string
  readonly email: string | null
  readonly groups: readonly string[]
}

const partyColumns = 'p.id, p.kind, p.name, p.email, p.groups'

function partyOf(row: PartyRow): Party {
  const { id, kind, name, email, groups } = row
  return { partyId: id, kind, name, ...(email === null ? {} : { email }), groups: [...groups] }
}

/** A session about to be opened. */
export interface NewSession {
  readonly tokenHash: string
  readonly now: number
}

/** @returns undefined when the address is taken. */
export async function insertParty(
  db: Queryable,
  party: { readonly id: string; readonly name: string; readonly email: string; readonly passwordHash: string },
  session: NewSession,
): Promise<Party | undefined> {
  const [row] = await db.query<PartyRow>({
    name: 'party-register',
    text: `with p as (
        insert into party (id, kind, name, email, created_at) values ($1, 'registered', $2, $3, $6)
        on conflict (email) do nothing returning *
      ), c as (
        insert into credential (party, password_hash, changed_at) select id, $4, $6 from p
      ), s as (
        insert into session (token_hash, party, created_at, expires_at) select $5, id, $6, $7 from p
      )
      select ${partyColumns} from p`,
    values: [
      party.id,
      party.name,
      party.email,
      party.passwordHash,
      session.tokenHash,
      session.now,
      session.now + sessionMs,
    ],
  })
  return row === undefined ? undefined : partyOf(row)
}

export interface LoginAttempt {
  /** Epoch milliseconds until which nobody may try; undefined: this try may go on. */
  readonly lockedUntil: number | undefined
  readonly party: Party | undefined
  readonly passwordHash: string | undefined
}

/**
 * Counts a try before the password is looked at, so that a thousand tries at once are no way round the limit; a right
 * one takes the count back. Unknown addresses are counted too: a lock tells nobody who is registered.
 * The tenth try of a window sets the lock and may still be right; a try that meets the lock is marked as the eleventh.
 */
export async function beginLogin(db: Queryable, email: string, now: number): Promise<LoginAttempt> {
  const isOver = `(t.locked_until > 0 or t.began_at <= $2 - ${windowMs})`
  const [row] = await db.query<PartyRow & { tries: number; until: number; hash: string | null; known: string | null }>({
    name: 'party-login-begin',
    text: `with t as (
        insert into login_throttle as t (email, began_at, tries) values ($1, $2::bigint, 1)
        on conflict (email) do update set
          began_at = case when t.locked_until <= $2 and ${isOver} then $2 else t.began_at end,
          tries = case when t.locked_until > $2 then ${maxTries + 1} when ${isOver} then 1 else t.tries + 1 end,
          locked_until = case when t.locked_until > $2 then t.locked_until when ${isOver} then 0
            when t.tries + 1 >= ${maxTries} then $2 + ${windowMs} else 0 end
        returning tries, locked_until
      )
      select t.tries, t.locked_until as until, p.id as known, ${partyColumns}, c.password_hash as hash
      from t left join party p on p.email = $1 left join credential c on c.party = p.id`,
    values: [email, now],
  })
  if (row === undefined) throw new Error('login_throttle gave no row')
  return {
    lockedUntil: row.tries > maxTries ? row.until : undefined,
    party: row.known === null ? undefined : partyOf(row),
    passwordHash: row.hash ?? undefined,
  }
}

/** After a right password: takes the tries back, opens the session, drops sessions over the limit. */
export async function finishLogin(
  db: Queryable,
  login: { readonly partyId: string; readonly email: string; readonly newHash: string | undefined },
  session: NewSession,
): Promise<void> {
  await db.query({
    name: 'party-login-finish',
    text: `with t as (delete from login_throttle where email = $2),
      c as (update credential set password_hash = $3, changed_at = $5 where party = $1 and $3::text is not null),
      o as (delete from session where token_hash in (
        select token_hash from session where party = $1 order by created_at desc, token_hash offset ${maxSessions - 1}))
      insert into session (token_hash, party, created_at, expires_at) values ($4, $1, $5, $6)`,
    values: [
      login.partyId,
      login.email,
      login.newHash ?? null,
      session.tokenHash,
      session.now,
      session.now + sessionMs,
    ],
  })
}

export async function partyBySession(db: Queryable, tokenHash: string, now: number): Promise<Party | undefined> {
  const [row] = await db.query<PartyRow>({
    name: 'party-by-session',
    text: `select ${partyColumns} from session s join party p on p.id = s.party where s.token_hash = $1 and s.expires_at > $2`,
    values: [tokenHash, now],
  })
  return row === undefined ? undefined : partyOf(row)
}

export async function endSession(db: Queryable, tokenHash: string): Promise<void> {
  await db.query({ name: 'party-logout', text: 'delete from session where token_hash = $1', values: [tokenHash] })
}

export async function writeGroups(db: Queryable, email: string, groups: readonly string[]): Promise<Party | undefined> {
  const [row] = await db.query<PartyRow>({
    name: 'party-groups',
    text: `update party p set groups = $2 where email = $1 returning ${partyColumns}`,
    values: [email, groups],
  })
  return row === undefined ? undefined : partyOf(row)
}

/** Drops what has no meaning any more, a thousand rows a statement. @returns rows dropped. */
export async function purgeParty(db: Queryable, now: number, signal: AbortSignal | undefined): Promise<number> {
  const statements = [
    {
      text: `delete from session where token_hash in
        (select token_hash from session where expires_at <= $1 limit ${purgeBatch} for update skip locked) returning 1 as dropped`,
      values: [now],
    },
    {
      text: `delete from login_throttle where email in (select email from login_throttle
        where greatest(began_at, locked_until) <= $1 limit ${purgeBatch} for update skip locked) returning 1 as dropped`,
      values: [now - windowMs],
    },
  ]
  let dropped = 0
  for (const statement of statements) {
    for (let rows = purgeBatch; rows === purgeBatch; dropped += rows) {
      signal?.throwIfAborted()
      rows = (await db.query(statement)).length
    }
  }
  return dropped
}

export async function partyGroups(db: Queryable, partyId: string): Promise<readonly string[]> {
  const rows = await db.query<{ groups: string[] }>({
    name: 'party-groups-of',
    text: `select groups from party where id = (case when $1 ~ '^[0-9a-f-]{36}$' then $1::uuid end)`,
    values: [partyId],
  })
  return rows[0]?.groups ?? []
}
