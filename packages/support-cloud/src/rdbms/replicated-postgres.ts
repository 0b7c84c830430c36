import { join, resolve } from 'node:path'
import { CloudError, sleep } from '@aaas/core-cloud/kernel'
import type pg from 'pg'
import { changedUrl } from './database-url.js'
import { type LeasePort, processLease } from './lease-port.js'
import { withConnection } from './postgres-connection.js'
import type { RunningPostgres } from './postgres-server.js'
import { type NodeOptions, otherNode, ReplicaNodes } from './replica-nodes.js'
import { type NodeName, type ReplicaState, readReplicaState, writeReplicaState } from './replica-state.js'

export interface ReplicatedPostgresOptions extends NodeOptions {
  /** Who may decide; default a lease of this process alone, for one supervisor a machine. */
  readonly lease?: LeasePort
  /**
   * True: a primary without a standby acknowledges nothing, so that no commit is ever on one disk alone. False (default):
   * it goes on alone while the standby is away, and is not replaced until a standby has everything again.
   */
  readonly strict?: boolean
}

export interface ReplicatedStatus {
  readonly primary: NodeName
  /** Token under which it became the primary; clients that know a higher one leave it. */
  readonly term: number
  /** Whether every acknowledged commit is on both disks, so that the standby may take over. */
  readonly inSync: boolean
  readonly standbyRuns: boolean
  readonly failOvers: number
}

/** A primary and its synchronous standby. Disposing stops both. */
export interface ReplicatedPostgres extends AsyncDisposable {
  /** Names both hosts: `pgDatabase` finds the primary, now and after each fail-over. Superuser. Secret. */
  readonly url: string
  status(): ReplicatedStatus
  /** Resolves when the standby has everything and may take over; rejects after `timeoutMs` (default 60_000). */
  inSync(options?: { readonly timeoutMs?: number }): Promise<void>
  /**
   * Makes the standby the primary, in order: the old one is stopped and fenced before the new one accepts a write.
   * Happens by itself when the primary dies.
   * @throws CloudError `support.rdbms.not-in-sync`, `support.rdbms.lease-lost`; nothing was changed then.
   */
  failOver(): Promise<void>
}

/**
 * The durability level `replicated` on one machine: two servers of the launcher, `<dataDir>/a` and `<dataDir>/b`, of which
 * one follows the other synchronously. A commit is acknowledged when both disks have it. (On several machines a cluster
 * manager such as Patroni does this; give `pgDatabase` the URL with all its hosts.)
 *
 * Why no acknowledged commit is lost and no two primaries write:
 * - the standby is promoted only while `inSync` was on the disk, which says that nothing was acknowledged without it;
 * - a promotion needs a fresh token of the lease; the old primary is stopped and a fence file keeps its data from being
 *   started before the new one accepts writes; even one that could not be stopped acknowledges nothing, because it waits
 *   for a standby that has left it;
 * - the new primary writes the token where every session sees it (`aaas.fence`); clients leave a primary with a lower one;
 * - the old data comes back only as a fresh copy of the new primary: its unacknowledged tail is thrown away.
 *
 * @throws as `startPostgres`; `support.rdbms.lease-lost`.
 */
export async function startReplicatedPostgres(options: ReplicatedPostgresOptions): Promise<ReplicatedPostgres> {
  const server = new Supervisor(options)
  try {
    await server.start()
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
  return server
}

/** Milliseconds between looks at a standby that catches up. */
const lookMs = 50
/** Milliseconds that a standby which was away gets to follow again; then it is copied anew. */
const followMs = 30_000

class Supervisor implements ReplicatedPostgres {
  readonly #options: ReplicatedPostgresOptions
  readonly #nodes: ReplicaNodes
  readonly #statePath: string
  readonly #stop = new AbortController()
  #lease: LeasePort | undefined
  #state: ReplicaState | undefined
  #servers: Partial<Record<NodeName, RunningPostgres>> = {}
  #failOvers = 0
  /** True until the first primary has run: only then may there be no data. */
  #isNew = false
  #waiting: (() => void)[] = []
  /** What changes roles runs one after the other. */
  #line: Promise<unknown> = Promise.resolve()
  #joining: Promise<void> | undefined
  #joinAgain = false
  #url: string | undefined

  constructor(options: ReplicatedPostgresOptions) {
    this.#options = options
    this.#nodes = new ReplicaNodes(options)
    this.#statePath = join(resolve(options.dataDir), 'nodes.json')
  }

  get url(): string {
    if (this.#url === undefined) throw new Error('not started')
    return this.#url
  }

  status(): ReplicatedStatus {
    const { primary, term, inSync } = this.#known()
    const standbyRuns = this.#servers[otherNode(primary)] !== undefined
    return { primary, term, inSync: inSync && standbyRuns, standbyRuns, failOvers: this.#failOvers }
  }

  async inSync({ timeoutMs = 60_000 } = {}): Promise<void> {
    if (this.status().inSync) return
    const abort = new AbortController()
    const late = sleep(this.#options.clock, timeoutMs, abort.signal).then(() => {
      throw new CloudError('support.rdbms.not-in-sync', `the standby did not catch up in ${timeoutMs} ms`)
    })
    const there = new Promise<void>(done => this.#waiting.push(done))
    await Promise.race([there, late]).finally(() => {
      late.catch(() => undefined)
      abort.abort()
    })
  }

  failOver(): Promise<void> {
    return this.#inLine(() => this.#takeOver())
  }

  async start(): Promise<void> {
    const before = await readReplicaState(this.#statePath)
    this.#lease = this.#options.lease ?? processLease({ after: before?.term ?? 0 })
    this.#isNew = before === undefined
    this.#state = before ?? { format: 1, primary: 'a', term: await this.#newTerm(0), inSync: false }
    const { primary, inSync } = this.#known()
    try {
      await this.#startPrimary()
      // Only now: what is written down must have data.
      if (this.#isNew) await this.#write(this.#known())
      this.#isNew = false
    } catch (error) {
      // Its disk or data may be gone; the standby has everything.
      if (!inSync) throw error
      this.#options.logger.error('the primary does not start', { node: primary, error })
      await this.#startStandby()
      await this.#takeOver()
    }
    this.#join()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('stopped'))
    await this.#joining
    await this.#inLine(async () => {
      const { primary } = this.#state ?? { primary: 'a' as const }
      // The primary first: it hands its last records to the standby.
      for (const name of [primary, otherNode(primary)]) await this.#servers[name]?.[Symbol.asyncDispose]()
      this.#servers = {}
      await this.#nodes.tidy()
    })
  }

  #known(): ReplicaState {
    if (this.#state === undefined) throw new Error('not started')
    return this.#state
  }

  async #write(state: ReplicaState): Promise<void> {
    await writeReplicaState(this.#statePath, state)
    this.#state = state
  }

  #inLine<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#line.then(work)
    this.#line = result.catch(() => undefined)
    return result
  }

  async #newTerm(above: number): Promise<number> {
    const token = await this.#lease?.acquire()
    if (token === undefined || !(token > above)) {
      throw new CloudError('support.rdbms.lease-lost', `the lease gave ${token}, the servers have seen ${above}`)
    }
    return token
  }

  async #startPrimary(): Promise<void> {
    const { primary, term, inSync } = this.#known()
    // Otherwise an empty one would be made in its place.
    if (!this.#isNew && !(await this.#nodes.hasData(primary))) {
      throw new CloudError('support.rdbms.start-failed', `the data of node ${primary} is gone`)
    }
    const unpromoted = await this.#nodes.isStandby(primary)
    const server = await this.#nodes.start(primary, unpromoted ? 'standby' : 'primary')
    this.#adopt(primary, server)
    if (unpromoted) return this.#promote(server, primary, term)
    await withConnection(server.url, async client => {
      // Alone from a crash in between: whoever waits for a standby that nobody follows would wait for ever.
      if (!inSync) await setSynchronous(client, this.#whenAlone(primary))
      await setFence(client, term)
    })
  }

  /** Standbys that a primary without one waits for. */
  #whenAlone(primary: NodeName): string {
    return this.#options.strict === true ? otherNode(primary) : ''
  }

  async #promote(server: RunningPostgres, name: NodeName, term: number): Promise<void> {
    const { clock } = this.#options
    await withConnection(server.url, async client => {
      await setSynchronous(client, this.#whenAlone(name))
      await client.query('set statement_timeout = 0; select pg_promote(true, 60)')
      const deadline = clock.monotonic() + 60_000
      while (await inRecovery(client)) {
        if (clock.monotonic() > deadline) {
          throw new CloudError('support.rdbms.start-failed', `node ${name} could not be promoted`)
        }
        await sleep(clock, lookMs)
      }
      await setFence(client, term)
    })
  }

  async #startStandby(): Promise<RunningPostgres> {
    const name = otherNode(this.#known().primary)
    if (!(await this.#nodes.isStandby(name))) {
      throw new CloudError('support.rdbms.not-in-sync', `node ${name} has no data that follows another node`)
    }
    const server = await this.#nodes.start(name, 'standby')
    this.#adopt(name, server)
    return server
  }

  /** Watches a server that was started: its end is somebody's cue. */
  #adopt(name: NodeName, server: RunningPostgres): void {
    this.#servers[name] = server
    const sockets = (['a', 'b'] as const).map(node => this.#nodes.socketFolder(node))
    this.#url = changedUrl(server.url, { target: 'read-write', host: sockets.join(',') })
    void server.ended.then(() => {
      if (this.#stop.signal.aborted || this.#servers[name] !== server) return
      this.#inLine(() => this.#ended(name, server)).catch((error: unknown) =>
        this.#options.logger.error('the servers need somebody', { error, node: name }),
      )
    })
  }

  async #ended(name: NodeName, server: RunningPostgres): Promise<void> {
    if (this.#stop.signal.aborted || this.#servers[name] !== server) return
    const { primary, inSync } = this.#known()
    this.#options.logger.warn('a server ended', { node: name, role: name === primary ? 'primary' : 'standby', inSync })
    if (name === primary && inSync) return this.#untilDone('the standby cannot take over', () => this.#takeOver())
    await this.#nodes.stop(name, server)
    delete this.#servers[name]
    if (name === primary) return this.#untilDone('the primary does not start', () => this.#again())
    await this.#alone()
    this.#join()
  }

  /** The only node that has everything is started again. */
  async #again(): Promise<void> {
    await this.#startPrimary()
    this.#join()
  }

  async #untilDone(trouble: string, work: () => Promise<void>): Promise<void> {
    const { clock, logger } = this.#options
    for (let pause = 100; !this.#stop.signal.aborted; pause = Math.min(10_000, pause * 2)) {
      try {
        return await work()
      } catch (error) {
        if (this.#stop.signal.aborted) return
        logger.error(trouble, { error, ...this.#state })
        await sleep(clock, pause, this.#stop.signal).catch(() => undefined)
      }
    }
  }

  /** The primary may acknowledge by itself from now on; that it does is on the disk before. */
  async #alone(): Promise<void> {
    const state = this.#known()
    if (state.inSync) await this.#write({ ...state, inSync: false })
    const primary = this.#servers[state.primary]
    if (this.#options.strict === true || primary === undefined) return
    await withConnection(primary.url, client => setSynchronous(client, ''))
    this.#options.logger.warn('the primary goes on alone', { node: state.primary })
  }

  async #takeOver(): Promise<void> {
    const { logger } = this.#options
    const state = this.#known()
    const [old, next] = [state.primary, otherNode(state.primary)]
    const standby = this.#servers[next]
    if (!state.inSync || standby === undefined) {
      throw new CloudError('support.rdbms.not-in-sync', `node ${next} does not have every commit of node ${old}`)
    }
    const term = await this.#newTerm(state.term)
    await this.#nodes.fence(old, term)
    await this.#nodes.stop(old, this.#servers[old])
    delete this.#servers[old]
    await this.#lease?.renew()
    // From here on a restart goes on with the promotion; the old node lacks what the new one will acknowledge.
    await this.#write({ format: 1, primary: next, term, inSync: false })
    await this.#promote(standby, next, term)
    this.#failOvers += 1
    logger.warn('the standby took over', { node: next, term })
    this.#join()
  }

  /** Brings the standby up, by following or by a fresh copy, in the background. */
  #join(): void {
    this.#joinAgain = this.#joining !== undefined
    if (this.#joinAgain) return
    this.#joining = this.#untilDone('the standby could not join', () => this.#joinOnce(this.#known())).finally(() => {
      this.#joining = undefined
      if (this.#joinAgain) this.#join()
    })
  }

  async #joinOnce(state: ReplicaState): Promise<void> {
    const name = otherNode(state.primary)
    const primary = this.#servers[state.primary]
    if (primary === undefined) throw new CloudError('support.rdbms.unavailable', 'there is no primary to join')
    let standby = this.#servers[name]
    if (standby === undefined && (await this.#nodes.hasData(name)) && !(await this.#nodes.isFenced(name))) {
      standby = await this.#startStandby().catch(() => undefined)
      if (standby !== undefined && !(await this.#follows(primary, name, 'streaming'))) {
        delete this.#servers[name]
        await this.#nodes.stop(name, standby)
        standby = undefined
      }
    }
    if (standby === undefined) {
      // Before its data goes: from here on it could not take over.
      await this.#inLine(() => this.#alone())
      await this.#nodes.stop(name, undefined)
      await this.#nodes.copyFrom(primary, name)
      await this.#startStandby()
    }
    if (!(await this.#follows(primary, name, 'streaming'))) throw new Error('the standby does not follow')
    await withConnection(primary.url, client => setSynchronous(client, name))
    if (!(await this.#follows(primary, name, 'sync'))) throw new Error('the standby does not follow synchronously')
    await this.#inLine(async () => {
      // Roles may have changed meanwhile.
      const now = this.#known()
      if (now.term !== state.term || this.#servers[name] === undefined) throw new Error('the roles changed')
      if (!(await this.#follows(primary, name, 'sync', 1))) throw new Error('the standby left again')
      if (!now.inSync) await this.#write({ ...now, inSync: true })
      for (const done of this.#waiting.splice(0)) done()
      this.#options.logger.info('the standby has everything', { node: name })
    })
  }

  async #follows(
    primary: RunningPostgres,
    name: NodeName,
    want: 'streaming' | 'sync',
    looks?: number,
  ): Promise<boolean> {
    const { clock } = this.#options
    const deadline = clock.monotonic() + followMs
    for (let look = 1; ; look++) {
      const there = await withConnection(primary.url, async client => {
        const { rows } = await client.query<{ state: string; sync: string }>(
          'select state, sync_state as sync from pg_stat_replication where application_name = $1',
          [name],
        )
        return rows.some(row => row.state === 'streaming' && (want === 'streaming' || row.sync === 'sync'))
      })
      if (there) return true
      if (look === looks || clock.monotonic() > deadline) return false
      await sleep(clock, lookMs, this.#stop.signal)
    }
  }
}

async function setSynchronous(client: pg.Client, names: string): Promise<void> {
  // Written to a file of the server, not to its log: it waits for nobody.
  await client.query(`alter system set synchronous_standby_names = '${names}'`)
  await client.query('select pg_reload_conf()')
}

/** Not to wait for a standby that is not there yet: it gets this with its copy. */
async function setFence(client: pg.Client, term: number): Promise<void> {
  await client.query('set synchronous_commit = local')
  const { rows } = await client.query<{ fence: string | null }>(`select current_setting('aaas.fence', true) as fence`)
  if (rows[0]?.fence !== String(term)) await client.query(`alter role all set aaas.fence = '${term}'`)
}

async function inRecovery(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby')
  return rows[0]?.standby === true
}
