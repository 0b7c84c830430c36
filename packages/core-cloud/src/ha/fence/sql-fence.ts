import { checkToken, type Fence, fenced } from './fence.js'

/** The part of a PostgreSQL client that is needed: one connection, on which a transaction is open. */
export interface SqlFenceClient {
  query(
    text: string,
    values: readonly unknown[],
  ): Promise<{ readonly rows: readonly Readonly<Record<string, unknown>>[] }>
}

/** Makes the table; to be run with the migrations of the database that is fenced. Harmless when it is there. */
export const sqlFenceTable = `create table if not exists aaas_ha_fence (
  name text primary key check (length(name) between 1 and 150),
  token bigint not null check (token > 0)
)`

const raise = `insert into aaas_ha_fence as f (name, token) values ($1, $2)
  on conflict (name) do update set token = excluded.token where f.token <= excluded.token
  returning token`

/**
 * For a PostgreSQL database. Call `pass` first in the transaction that writes: it locks the row of the name until the
 * commit, so that a later holder's transaction begins to write after this one, and this one fails when a later holder was
 * there before. Without an open transaction nothing is protected.
 */
export function sqlFence(client: SqlFenceClient): Fence {
  return {
    async pass(token) {
      checkToken(token)
      const { rows } = await client.query(raise, [token.name, token.token])
      if (rows.length === 0) throw fenced(token)
    },
  }
}
