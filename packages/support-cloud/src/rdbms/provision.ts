import { createHash } from 'node:crypto'
import { CloudError, type Ids } from '@aaas/core-cloud/kernel'
import type pg from 'pg'
import type { Queryable } from './database.js'
import { changedUrl } from './database-url.js'
import { quotedName, quotedText } from './identifier.js'
import { type MigrationSet, migrate } from './migration.js'
import { pgDatabase } from './pg-database.js'
import { withConnection } from './postgres-connection.js'
import { sqlState } from './sql-state.js'

/** Owns everything inside template databases, and nothing else: a clone's content then changes hands in one statement. */
const templateOwner = 'aaas_template'

/** Advisory lock over all templates of a server: changing one excludes cloning any, since a clone needs it unused. */
const templateLock = '4158, 2'

/**
 * Makes a role that may log in, or gives an existing one this password.
 * @param options.connectionLimit - connections at most; default 40.
 */
export async function createRole(options: {
  readonly admin: Queryable
  readonly name: string
  readonly password: string
  readonly connectionLimit?: number
}): Promise<void> {
  const { admin, name } = options
  const rights = `login nosuperuser nocreatedb nocreaterole noreplication connection limit ${Math.trunc(options.connectionLimit ?? 40)}`
  const text = `role ${quotedName(name)} ${rights} password ${quotedText(options.password)}`
  await admin.query({ text: `create ${text}` }).catch((error: unknown) => {
    if (!isPresent(error)) throw error
    return admin.query({ text: `alter ${text}` })
  })
}

/** Makes an empty database, unless there is one of this name. Only its owner may enter it. */
export async function createDatabase(options: {
  readonly admin: Queryable
  readonly name: string
  readonly owner?: string
}): Promise<void> {
  await cloneDatabase({ ...options, template: undefined })
}

/**
 * Copies a database (about 40 ms for an empty schema), unless there is one of this name. Nobody may be connected to the
 * template meanwhile. Only the owner may enter the copy.
 */
export async function cloneDatabase(options: {
  readonly admin: Queryable
  readonly name: string
  readonly template: string | undefined
  readonly owner?: string
}): Promise<void> {
  const { admin, name, template, owner } = options
  const clauses = [
    template === undefined ? '' : ` template ${quotedName(template)}`,
    owner === undefined ? '' : ` owner ${quotedName(owner)}`,
  ]
  await admin.query({ text: `create database ${quotedName(name)}${clauses.join('')}` }).catch((error: unknown) => {
    if (!isPresent(error)) throw error
  })
  await admin.query({ text: `revoke all on database ${quotedName(name)} from public` })
}

/**
 * Brings a template database to the level of the migrations; makes it first when it is missing. Quick when nothing is to
 * be done; any number of processes may ask at once. Between calls nobody can connect to a template.
 * @throws CloudError `support.rdbms.migration-failed`, `support.rdbms.unavailable`.
 */
export async function ensureTemplate(options: {
  readonly adminUrl: string
  readonly name: string
  readonly migrations: readonly MigrationSet[]
}): Promise<void> {
  const { adminUrl, name, migrations } = options
  const mark = `aaas template ${fingerprint(migrations)}`
  await withConnection(adminUrl, async client => {
    if ((await commentOf(client, name)) === mark) return
    await client.query(`select pg_advisory_lock(${templateLock})`)
    if ((await commentOf(client, name)) === mark) return
    const admin = queryable(client)
    await admin
      .query({ text: `create role ${templateOwner} nologin` })
      .catch((error: unknown) => void rethrowUnlessPresent(error))
    await client.query(`grant ${templateOwner} to current_user`)
    await cloneDatabase({ admin, name, template: undefined })
    await client.query(`alter database ${quotedName(name)} allow_connections true`)
    await client.query(`grant create, connect, temporary on database ${quotedName(name)} to ${templateOwner}`)
    const url = changedUrl(adminUrl, { name })
    await withConnection(url, inside => inside.query(`alter schema public owner to ${templateOwner}`))
    await migrateAs(url, templateOwner, migrations)
    await client.query(`alter database ${quotedName(name)} allow_connections false`)
    await client.query(`comment on database ${quotedName(name)} is ${quotedText(mark)}`)
  })
}

/**
 * Gives one site a database of its own: a role of the same name that may enter this database and no other, and the
 * database, owned by it, empty or copied from a template of {@link ensureTemplate}. A repeat finishes what a kill left
 * half-done; it keeps the data and gives the role a **new password**, so earlier URLs stop working.
 * @returns the connection string of the site's role. Secret.
 */
export async function provisionDatabase(options: {
  readonly adminUrl: string
  readonly ids: Ids
  /** Of the database and of the role; see {@link quotedName} for what is allowed. */
  readonly name: string
  readonly template?: string
  /** Run as the site's role after the copy. */
  readonly migrations?: readonly MigrationSet[]
  readonly connectionLimit?: number
}): Promise<{ readonly url: string }> {
  const { adminUrl, name, template, connectionLimit } = options
  const password = options.ids.token(20)
  await withConnection(adminUrl, async client => {
    const admin = queryable(client)
    await createRole({ admin, name, password, ...(connectionLimit === undefined ? {} : { connectionLimit }) })
    // Needed to make the role an owner, when we are no superuser ourselves.
    await client.query(`grant ${quotedName(name)} to current_user`)
    await client.query(`select pg_advisory_lock_shared(${templateLock})`)
    await cloneDatabase({ admin, name, template, owner: name })
    await client.query(`select pg_advisory_unlock_shared(${templateLock})`)
  })
  if (template !== undefined) {
    await withConnection(changedUrl(adminUrl, { name }), client =>
      client.query(`reassign owned by ${templateOwner} to ${quotedName(name)}`),
    )
  }
  const url = changedUrl(adminUrl, { name, role: name, password })
  if (options.migrations !== undefined) await migrateAs(url, undefined, options.migrations)
  return { url }
}

/**
 * Makes one site's database from another's, as it is now, with a role of its own. The source is closed for the time of
 * the copy: its connections are ended and new ones refused (programs see `support.rdbms.unavailable` and come back), for
 * about 40 ms and a second for each 100 MB. Nothing is left behind when it fails.
 * @returns the connection string of the new role. Secret.
 * @throws CloudError `support.rdbms.invalid-name`; `core.kernel.invalid-config` when `from` is not there or `name` is.
 */
export async function copyDatabase(options: {
  readonly adminUrl: string
  readonly ids: Ids
  readonly from: string
  readonly name: string
}): Promise<{ readonly url: string }> {
  const { adminUrl, ids, from, name } = options
  const password = ids.token(20)
  const [source, target] = [quotedName(from), quotedName(name)]
  await withConnection(adminUrl, async client => {
    await client.query('set statement_timeout = 0')
    const { rows } = await client.query<{ name: string }>(
      'select datname as name from pg_database where datname = any ($1)',
      [[from, name]],
    )
    const field = !rows.some(row => row.name === from)
      ? 'from'
      : rows.some(row => row.name === name)
        ? 'name'
        : undefined
    if (field !== undefined) {
      const text = field === 'from' ? `there is no database ${from}` : `there is a database ${name} already`
      throw new CloudError('core.kernel.invalid-config', text, { field })
    }
    await createRole({ admin: queryable(client), name, password })
    await client.query(`grant ${target} to current_user`)
    await client.query(`alter database ${source} allow_connections false`)
    try {
      await client.query('select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1', [from])
      await client.query(`create database ${target} template ${source} owner ${target}`)
    } catch (error) {
      await client.query(`drop role if exists ${target}`)
      throw error
    } finally {
      await client.query(`alter database ${source} allow_connections true`)
    }
    // A copy takes the rights inside along, and not those of the database itself.
    await client.query(`revoke all on database ${target} from public`)
  })
  await withConnection(changedUrl(adminUrl, { name }), async client => {
    const { rows } = await client.query('select 1 from pg_roles where rolname = $1', [from])
    if (rows.length === 0) return
    // Shared objects change hands too, and one of them is the source itself: both or nothing.
    await client.query('begin')
    await client.query(`reassign owned by ${source} to ${target}`)
    await client.query(`alter database ${source} owner to ${source}`)
    await client.query('commit')
  })
  return { url: changedUrl(adminUrl, { name, role: name, password }) }
}

/** Removes a database with everything in it, ends its connections, and removes the role of the same name. */
export async function dropDatabase(options: { readonly adminUrl: string; readonly name: string }): Promise<void> {
  const name = quotedName(options.name)
  await withConnection(options.adminUrl, async client => {
    await client.query(`drop database if exists ${name} with (force)`)
    await client.query(`drop role if exists ${name}`)
  })
}

async function migrateAs(url: string, role: string | undefined, migrations: readonly MigrationSet[]): Promise<void> {
  const target = role === undefined ? url : changedUrl(url, { options: `-c role=${role}` })
  await using database = pgDatabase({ url: target, maxConnections: 1 })
  await migrate(database, migrations)
}

function fingerprint(migrations: readonly MigrationSet[]): string {
  const steps = migrations.flatMap(set =>
    set.migrations.map(step => [set.owner, step.level, step.name, String(step.up)]),
  )
  return createHash('sha256').update(JSON.stringify(steps)).digest('hex').slice(0, 32)
}

async function commentOf(client: pg.Client, name: string): Promise<string | undefined> {
  const { rows } = await client.query<{ comment: string | null }>(
    `select shobj_description(oid, 'pg_database') as comment from pg_database where datname = $1 and not datallowconn`,
    [name],
  )
  return rows[0]?.comment ?? undefined
}

function queryable(client: pg.Client): Queryable {
  return {
    query: async <Row extends object>(statement: { readonly text: string }) =>
      (await client.query(statement.text)).rows as readonly Row[],
  }
}

/** Duplicate role or database, also when two callers make it in the same moment. */
function isPresent(error: unknown): boolean {
  return ['42710', '42P04', '23505'].includes(sqlState(error) ?? '')
}

function rethrowUnlessPresent(error: unknown): void {
  if (!isPresent(error)) throw error
}
