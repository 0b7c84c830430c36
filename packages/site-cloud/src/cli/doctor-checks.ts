import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { CloudError } from '@aaas/core-cloud/kernel'
import { findPostgres, pgDatabase, systemSearchPath } from '@aaas/support-cloud/rdbms'
import { satisfies } from 'semver'
import { type CliContext, clientOf } from './cli-context.js'
import { isPortFree, portOf } from './free-port.js'
import { checkDataVersion, type PlatformHome } from './platform-home.js'
import { lockHolder } from './platform-lock.js'

export interface Finding {
  readonly check: string
  readonly ok: boolean
  readonly detail: string
}

const neededNode = '>=20.19'

/** Looks at everything a start needs, in the order in which a start would need it. Changes nothing. */
export async function examine(context: CliContext): Promise<readonly Finding[]> {
  const { home, environment } = context
  const findings: Finding[] = [
    nodeFinding(process.versions.node),
    homeFinding(home),
    dataVersionFinding(home),
    await databaseFinding(environment.DATABASE_URL),
  ]
  const holder = lockHolder(home.lockFile)
  if (holder === undefined) findings.push(...(await portFindings(environment)), await leftoverFinding(home))
  else findings.push(await platformFinding(context, holder))
  return [...findings, isolationFinding()]
}

/** @param version - such as `20.19.0`. */
export function nodeFinding(version: string): Finding {
  return { check: 'node', ok: satisfies(version, neededNode), detail: `${version}, needs ${neededNode}` }
}

/** The folder itself, or the nearest one above it that is there, can be written. */
function homeFinding({ dir }: PlatformHome): Finding {
  let place = dir
  while (!existsSync(place) && dirname(place) !== place) place = dirname(place)
  try {
    accessSync(place, constants.W_OK)
    return { check: 'data directory', ok: true, detail: place === dir ? dir : `${dir}, to be made` }
  } catch {
    return { check: 'data directory', ok: false, detail: `${place} cannot be written; set AAAS_HOME` }
  }
}

function dataVersionFinding(home: PlatformHome): Finding {
  try {
    const version = checkDataVersion(home)
    return { check: 'data version', ok: true, detail: version === undefined ? 'no data yet' : String(version) }
  } catch (error) {
    return { check: 'data version', ok: false, detail: CloudError.from(error).message }
  }
}

async function databaseFinding(url: string | undefined): Promise<Finding> {
  try {
    if (url) return { check: 'postgresql', ok: true, detail: `DATABASE_URL, ${await serverVersion(url)}` }
    const found = await findPostgres({ searchPath: systemSearchPath() })
    return { check: 'postgresql', ok: true, detail: `${found.version} (${found.engine}), ${found.binDir}` }
  } catch (error) {
    return { check: 'postgresql', ok: false, detail: CloudError.from(error).message }
  }
}

async function serverVersion(url: string): Promise<string> {
  const database = pgDatabase({ url, maxConnections: 1 })
  try {
    const [row] = await database.query<{ version: string }>({
      text: `select current_setting('server_version') as version`,
    })
    return row?.version ?? 'unknown'
  } finally {
    await database[Symbol.asyncDispose]()
  }
}

async function portFindings(environment: NodeJS.ProcessEnv): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  let edge = 8080
  for (const name of ['AAAS_PORT', 'AAAS_CONSOLE_PORT'] as const) {
    try {
      const port = portOf(environment, name, name === 'AAAS_PORT' ? edge : edge + 1)
      if (name === 'AAAS_PORT') edge = port
      const free = await isPortFree(port, '127.0.0.1')
      findings.push({
        check: name,
        ok: free,
        detail: free ? `port ${port} is free` : `port ${port} is in use; set ${name} to another`,
      })
    } catch (error) {
      findings.push({ check: name, ok: false, detail: CloudError.from(error).message })
    }
  }
  return findings
}

/** Processes of a platform whose launcher is gone. They end by themselves within seconds; one that hangs is named. */
async function leftoverFinding(home: PlatformHome): Promise<Finding> {
  const left: string[] = []
  const postgres = postgresProcess(home)
  if (postgres !== undefined) left.push(`PostgreSQL (process ${postgres})`)
  if (await answers(home.controlSocket)) left.push(`control (${home.controlSocket})`)
  if (await answers(join(home.runDir, 'host.sock'))) left.push(`host (${join(home.runDir, 'host.sock')})`)
  if (left.length === 0) return { check: 'leftover processes', ok: true, detail: 'none' }
  const what = 'they end by themselves within seconds of their launcher, or end them before the next start'
  return { check: 'leftover processes', ok: false, detail: `${left.join(', ')}; ${what}` }
}

/** The server of our data directory, when the process that its lock file names runs in it. */
function postgresProcess(home: PlatformHome): number | undefined {
  try {
    const pid = Number(readFileSync(join(home.postgresDir, 'postmaster.pid'), 'utf8').split('\n')[0])
    process.kill(pid, 0)
    return /postgres|postmaster/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8')) ? pid : undefined
  } catch {
    return undefined
  }
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(socketPath)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

async function platformFinding(context: CliContext, holder: number): Promise<Finding> {
  try {
    const { sites } = await clientOf(context).listSites({})
    const wanted = sites.filter(site => site.version > 0)
    const ill = wanted.filter(site => site.phase !== 'live').map(site => `${site.site} is ${site.phase}`)
    const detail = `running (process ${holder}), ${wanted.length - ill.length} of ${wanted.length} sites live`
    return { check: 'platform', ok: ill.length === 0, detail: [detail, ...ill].join('; ') }
  } catch (error) {
    return {
      check: 'platform',
      ok: false,
      detail: `process ${holder} does not answer: ${CloudError.from(error).message}`,
    }
  }
}

/** Says what separates instances from each other here; never claims more than the process driver enforces. */
function isolationFinding(): Finding {
  const cgroup = existsSync('/sys/fs/cgroup/cgroup.controllers')
    ? 'cgroup v2'
    : existsSync('/sys/fs/cgroup/memory')
      ? 'cgroup v1'
      : 'no cgroups'
  const kernel = existsSync('/proc/version')
    ? readFileSync('/proc/version', 'utf8').split(' ').slice(0, 3).join(' ')
    : process.platform
  return {
    check: 'isolation',
    ok: true,
    detail: `${kernel}, ${cgroup}; the process driver gives each instance its own process, database and credentials, and does not enforce CPU or file-system walls`,
  }
}
