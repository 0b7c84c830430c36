import { chown, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { kill } from 'node:process'
import { CloudError, sleep } from '@aaas/core-cloud/kernel'
import { copyRunningCluster, writeSynced } from './cluster-copy.js'
import { quotedText } from './identifier.js'
import { serverAccount } from './postgres-account.js'
import { type ClusterPaths, clusterPaths, dataMajor, readPassword } from './postgres-cluster.js'
import { withConnection } from './postgres-connection.js'
import { type PostgresOptions, type RunningPostgres, runningPid, startServer } from './postgres-server.js'
import type { ServerSettings } from './postgres-settings.js'
import type { NodeName } from './replica-state.js'

const meetingPrefix = 'aaas-nodes-'

export const otherNode = (name: NodeName): NodeName => (name === 'a' ? 'b' : 'a')

export type NodeOptions = Omit<PostgresOptions, 'databaseUrl' | 'archiveDir'>

/** The two servers' folders, and how each is started, stopped, copied from the other and kept from coming back. */
export class ReplicaNodes {
  readonly #options: NodeOptions
  /** Sockets by which the servers reach each other: their accounts may not pass the folders that lead to the data. */
  #meeting: string | undefined

  constructor(options: NodeOptions) {
    this.#options = options
  }

  paths(name: NodeName): ClusterPaths {
    return clusterPaths(join(resolve(this.#options.dataDir), name))
  }

  /** Folder through which clients reach the socket of a node. */
  socketFolder(name: NodeName): string {
    return join(resolve(this.#options.socketDir), name, 'pg')
  }

  async hasData(name: NodeName): Promise<boolean> {
    return (await dataMajor(this.paths(name)).catch(() => undefined)) !== undefined
  }

  /** @param standby - whether it follows the other one; `standby.signal` in its folder says the same. */
  async start(name: NodeName, role: 'primary' | 'standby'): Promise<RunningPostgres> {
    const { dataDir: _, socketDir, ...options } = this.#options
    const meeting = await this.#meetingFolder()
    await mkdir(join(resolve(this.#options.dataDir)), { recursive: true, mode: 0o700 })
    const settings: ServerSettings = {
      unix_socket_directories: `., ${join(meeting, name)}`,
      wal_level: 'replica',
      max_wal_senders: 5,
      max_replication_slots: 5,
      hot_standby: 'on',
      // A standby that is away keeps the primary's log from being cleared, up to here; then it is copied anew.
      max_slot_wal_keep_size: '1GB',
      wal_sender_timeout: '10s',
      wal_receiver_timeout: '10s',
      wal_receiver_status_interval: '1s',
      wal_retrieve_retry_interval: '200ms',
      ...(role === 'primary' ? {} : this.#following(name, meeting)),
    }
    const place = { dataDir: this.paths(name).data, socketDir: join(socketDir, name) }
    const server = await startServer({ ...options, ...place }, settings)
    if (!server.adopted) return server
    // One that a killed owner left listens where nobody looks any more.
    await server[Symbol.asyncDispose]()
    return startServer({ ...options, ...place }, settings)
  }

  #following(name: NodeName, meeting: string): ServerSettings {
    const host = join(meeting, otherNode(name))
    return {
      primary_conninfo: `host=${host} port=5432 user=aaas_replica application_name=${name} passfile=replica.pass`,
      primary_slot_name: `aaas_${name}`,
    }
  }

  /** Makes sure that no server runs on the node's folder, also none that its guard left behind. */
  async stop(name: NodeName, running: RunningPostgres | undefined): Promise<void> {
    const { clock } = this.#options
    await running?.[Symbol.asyncDispose]()
    const deadline = clock.monotonic() + 30_000
    for (let turn = 0; ; turn++) {
      const pid = await runningPid(this.paths(name))
      if (pid === undefined) return
      if (clock.monotonic() > deadline) {
        throw new CloudError('support.rdbms.start-failed', `server ${pid} on ${this.paths(name).data} does not end`)
      }
      try {
        kill(pid, turn < 50 ? 'SIGQUIT' : 'SIGKILL')
      } catch {}
      await sleep(clock, 100)
    }
  }

  /** From here on nothing starts the node's data as it is. */
  async fence(name: NodeName, term: number): Promise<void> {
    await mkdir(resolve(this.#options.dataDir), { recursive: true })
    await writeSynced(this.paths(name).fence, `node ${otherNode(name)} since term ${term}\n`)
  }

  /** Whether the node's data follows another one, as those of a standby that was not promoted. */
  async isStandby(name: NodeName): Promise<boolean> {
    return (await readFile(join(this.paths(name).data, 'standby.signal')).catch(() => undefined)) !== undefined
  }

  async isFenced(name: NodeName): Promise<boolean> {
    return (await readFile(this.paths(name).fence).catch(() => undefined)) !== undefined
  }

  /** Makes the node's data anew as a copy of the running other one, ready to follow it. */
  async copyFrom(primary: RunningPostgres, name: NodeName): Promise<void> {
    const { ids, signal } = this.#options
    const paths = this.paths(name)
    const source = this.paths(otherNode(name))
    const password = ids.token(20)
    await withConnection(primary.url, async client => {
      // Nobody follows yet who could confirm it.
      await client.query('set synchronous_commit = local')
      const { rows } = await client.query(`select 1 from pg_roles where rolname = 'aaas_replica'`)
      const verb = rows.length === 0 ? 'create' : 'alter'
      await client.query(`${verb} role aaas_replica login replication password ${quotedText(password)}`)
      const slot = `aaas_${name}`
      await client.query(
        `select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '${slot}' and not active`,
      )
      await client.query(`select pg_create_physical_replication_slot('${slot}', true)`)
    })
    const staging = `${paths.data}.new`
    await rm(staging, { recursive: true, force: true })
    const copy = { url: primary.url, from: source.data, to: staging, withLog: false, ids }
    await copyRunningCluster({ ...copy, ...(signal && { signal }) })
    await writeSynced(join(staging, 'replica.pass'), `*:*:*:aaas_replica:${password}\n`)
    await writeSynced(join(staging, 'standby.signal'), '')
    await rm(paths.data, { recursive: true, force: true })
    await writeSynced(paths.password, `${await readPassword(source)}\n`)
    await rename(staging, paths.data)
    await rm(paths.fence, { force: true })
  }

  /** A folder that the servers' account can pass and nobody else; new at each start of this process. */
  async #meetingFolder(): Promise<string> {
    if (this.#meeting !== undefined) return this.#meeting
    const account = await serverAccount()
    const note = join(resolve(this.#options.dataDir), 'meeting')
    // That of an owner that was killed.
    const before = (await readFile(note, 'utf8').catch(() => '')).trim()
    if (dirname(before) === tmpdir() && basename(before).startsWith(meetingPrefix)) {
      await rm(before, { recursive: true, force: true })
    }
    const folder = await mkdtemp(join(tmpdir(), meetingPrefix))
    await mkdir(dirname(note), { recursive: true, mode: 0o700 })
    await writeSynced(note, `${folder}\n`)
    for (const path of [folder, join(folder, 'a'), join(folder, 'b')]) {
      await mkdir(path, { recursive: true, mode: 0o700 })
      if (account !== undefined) await chown(path, account.uid, account.gid)
    }
    this.#meeting = folder
    return folder
  }

  async tidy(): Promise<void> {
    if (this.#meeting !== undefined) await rm(this.#meeting, { recursive: true, force: true })
  }
}
