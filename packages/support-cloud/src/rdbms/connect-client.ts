import { type Clock, CloudError, sleep, systemClock } from '@aaas/core-cloud/kernel'
import pg from 'pg'
import { type DatabaseHosts, databaseHosts, type SessionTarget } from './database-url.js'
import { sqlState } from './sql-state.js'

/** What is remembered between two connections to the same servers. */
export interface HostMemory {
  /** Index of the host that was taken last: the first to be asked. */
  last: number
  /** Highest fence seen (see `replicated-postgres.ts`): a primary with a lower one was replaced and is left. */
  fence: number
}

export interface ConnectOptions {
  readonly url: string
  /** Milliseconds for everything, several hosts and waiting for a fail-over included. */
  readonly timeoutMs: number
  readonly memory?: HostMemory
  readonly settings?: pg.ClientConfig
  readonly clock?: Clock
}

/** Milliseconds between two rounds over the hosts, of which none fitted. */
const roundMs = 50
/** The longest that one of several hosts may take to answer: one that swallows packets must not use the time of all. */
const hostMs = 2_000

/**
 * Opens a connection. Of several hosts it takes the first that has the asked role; when none has, as in the seconds of a
 * fail-over, it asks again until the time is over.
 * @throws what `pg` throws for one host; for several `support.rdbms.unavailable`, or at once what a server says about
 *   role, password or database name.
 */
export async function connectClient(options: ConnectOptions): Promise<{ readonly client: pg.Client }> {
  const { url, timeoutMs, clock = systemClock({ keepAlive: true }) } = options
  const hosts = databaseHosts(url)
  if (hosts.urls.length === 1 && hosts.target === 'any') {
    return { client: await open(hosts.urls[0] ?? url, timeoutMs, options.settings) }
  }
  const memory = options.memory ?? { last: 0, fence: 0 }
  const deadline = clock.monotonic() + timeoutMs
  for (;;) {
    const found = await oneRound(hosts, memory, options, () => deadline - clock.monotonic())
    if ('client' in found) return found
    if (deadline - clock.monotonic() <= roundMs) {
      throw new CloudError('support.rdbms.unavailable', `database: no host is ${hosts.target} (${found.reason})`, {
        cause: found.error,
      })
    }
    await sleep(clock, roundMs)
  }
}

type Round = { readonly client: pg.Client } | { readonly reason: string; readonly error?: unknown }

async function oneRound(
  hosts: DatabaseHosts,
  memory: HostMemory,
  options: ConnectOptions,
  leftMs: () => number,
): Promise<Round> {
  const reasons: string[] = []
  let failure: unknown
  let second: { readonly client: pg.Client; readonly index: number } | undefined
  for (let turn = 0; turn < hosts.urls.length; turn++) {
    const index = (memory.last + turn) % hosts.urls.length
    const time = Math.min(hostMs, leftMs())
    if (time <= 0) break
    try {
      const client = await open(hosts.urls[index] ?? '', time, options.settings)
      const flaw = await unfit(client, hosts.target, memory)
      if (flaw === undefined) {
        memory.last = index
        await second?.client.end().catch(() => undefined)
        return { client }
      }
      if (flaw === 'second choice' && second === undefined) second = { client, index }
      else await client.end().catch(() => undefined)
      reasons.push(`host ${index + 1}: ${flaw}`)
    } catch (error) {
      // Another host would say the same.
      if (/^(28|3D)/.test(sqlState(error) ?? '')) throw error
      failure = error
      reasons.push(`host ${index + 1}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  if (second !== undefined) {
    memory.last = second.index
    return { client: second.client }
  }
  return { reason: reasons.join('; '), ...(failure === undefined ? {} : { error: failure }) }
}

async function open(url: string, timeoutMs: number, settings: pg.ClientConfig = {}): Promise<pg.Client> {
  const client = new pg.Client({ ...settings, connectionString: url, connectionTimeoutMillis: Math.ceil(timeoutMs) })
  // A connection that the server ends between two statements reports here; the next statement then fails.
  client.on('error', () => undefined)
  try {
    await client.connect()
  } catch (error) {
    await client.end().catch(() => undefined)
    throw error
  }
  return client
}

/** @returns why the server is not what was asked for. */
async function unfit(client: pg.Client, target: SessionTarget, memory: HostMemory): Promise<string | undefined> {
  const { rows } = await client.query<{ standby: boolean; readonly: boolean; fence: string | null }>(
    `select pg_is_in_recovery() as standby, current_setting('default_transaction_read_only')::bool as readonly,
            current_setting('aaas.fence', true) as fence`,
  )
  const { standby = false, readonly = false, fence = null } = rows[0] ?? {}
  const seen = Number(fence ?? 0)
  if (!standby && seen < memory.fence) return `a primary that was replaced (fence ${seen}, not ${memory.fence})`
  memory.fence = Math.max(memory.fence, seen)
  if (target === 'any') return undefined
  if (target === 'prefer-standby') return standby ? undefined : 'second choice'
  const writes = !standby && (target === 'primary' || !readonly)
  const wanted = target === 'read-write' || target === 'primary'
  if (target === 'standby') return standby ? undefined : 'a primary'
  return writes === wanted ? undefined : standby ? 'a standby' : writes ? 'a primary' : 'read only'
}
