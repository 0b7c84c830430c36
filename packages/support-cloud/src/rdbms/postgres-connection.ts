import { CloudError } from '@aaas/core-cloud/kernel'
import type pg from 'pg'
import { connectClient } from './connect-client.js'
import { sqlState } from './sql-state.js'

/** Runs `work` on one connection that is closed afterwards. Not a pool: for work that outlives no call. */
export async function withConnection<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const { client } = await connectClient({ url, timeoutMs: 5_000 }).catch((error: unknown) => {
    if (CloudError.is(error)) throw error
    if (sqlState(error) !== undefined && !String(sqlState(error)).startsWith('57P')) throw error
    const text = error instanceof Error ? error.message : String(error)
    throw new CloudError('support.rdbms.unavailable', `database: ${text}`, { cause: error })
  })
  try {
    return await work(client)
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** `refused`: it answers, and does not know the password. `absent`: not there, starting or stopping. */
export async function tryConnect(url: string): Promise<'ready' | 'refused' | 'absent'> {
  try {
    await withConnection(url, client => client.query('select 1'))
    return 'ready'
  } catch (error) {
    return sqlState(error)?.startsWith('28') ? 'refused' : 'absent'
  }
}

/** Takes from everybody the right to enter the databases that every server has; idempotent. */
export async function prepareRights(url: string): Promise<void> {
  await withConnection(url, async client => {
    const { rows } = await client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby')
    // A standby has what its primary has.
    if (rows[0]?.standby !== false) return
    // A primary must be able to start before its standby.
    await client.query('set synchronous_commit = local')
    await client.query('revoke all on database postgres, template1 from public')
  })
}

/** @returns the version of a server that somebody else runs, when it is new enough and we may make databases there. */
export async function checkExternal(url: string): Promise<string> {
  const rows = await withConnection(url, client =>
    client.query<{ version: string; number: number; able: boolean }>(
      `select current_setting('server_version') as version, current_setting('server_version_num')::int as number,
              (rolsuper or (rolcreatedb and rolcreaterole)) as able
         from pg_roles where rolname = current_user`,
    ),
  ).catch((error: unknown) => {
    if (CloudError.is(error)) throw error
    const text = error instanceof Error ? error.message : String(error)
    throw new CloudError('core.kernel.invalid-config', `the database server refused us: ${text}`, {
      field: 'databaseUrl',
      cause: error,
    })
  })
  const { version = '?', number = 0, able = false } = rows.rows[0] ?? {}
  if (number < 140_000 || !able) {
    const reason = able
      ? `is PostgreSQL ${version}; 14 or newer is needed`
      : 'does not allow this role to create databases and roles'
    throw new CloudError('core.kernel.invalid-config', `the database server ${reason}`, { field: 'databaseUrl' })
  }
  return version.split(' ')[0] ?? version
}
