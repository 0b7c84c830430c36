import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname } from 'node:path'
import { findPostgres } from '@aaas/support-cloud/rdbms'
import type { Command } from 'commander'
import { type CliContext, clientOf } from './cli-context.js'
import { show } from './output.js'

interface Finding {
  readonly check: string
  readonly ok: boolean
  readonly detail: string
}

/** `aaas doctor`: what this machine can and cannot do for the platform; exit code 1 when it cannot run. */
export function doctorCommand(program: Command, context: () => CliContext): void {
  program
    .command('doctor')
    .description('say what this machine can do for the platform, and what keeps it from running')
    .action(async () => {
      const findings = await examine(context())
      show(context().output, { ok: findings.every(one => one.ok), findings }, value =>
        value.findings.map(one => `${one.ok ? 'ok  ' : 'FAIL'} ${one.check}: ${one.detail}`).join('\n'),
      )
      if (findings.some(one => !one.ok)) process.exitCode = 1
    })
}

async function examine(context: CliContext): Promise<readonly Finding[]> {
  const { home, environment } = context
  const running = existsSync(home.endpointFile)
  const port = Number(environment.AAAS_PORT || 8080)
  const findings: Finding[] = [nodeVersion(), writable(home.dir), await database(environment)]
  if (running) {
    findings.push(await platformAnswers(context))
  } else {
    findings.push(await portFree('AAAS_PORT', port), await portFree('AAAS_CONSOLE_PORT', Number(environment.AAAS_CONSOLE_PORT || port + 1)))
  }
  findings.push(isolation())
  return findings
}

function nodeVersion(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  return { check: 'node', ok: major > 20 || (major === 20 && minor >= 19), detail: `${process.version}, needs 20.19 or newer` }
}

function writable(dir: string): Finding {
  const place = existsSync(dir) ? dir : dirname(dir)
  try {
    accessSync(place, constants.W_OK)
    return { check: 'data directory', ok: true, detail: dir }
  } catch {
    return { check: 'data directory', ok: false, detail: `${place} cannot be written; set AAAS_HOME` }
  }
}

async function database(environment: NodeJS.ProcessEnv): Promise<Finding> {
  if (environment.DATABASE_URL) return { check: 'postgresql', ok: true, detail: 'DATABASE_URL' }
  try {
    const found = await findPostgres({})
    return { check: 'postgresql', ok: true, detail: `${found.engine}, ${found.binDir}` }
  } catch (error) {
    return { check: 'postgresql', ok: false, detail: (error as Error).message }
  }
}

function portFree(name: string, port: number): Promise<Finding> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => resolve({ check: name, ok: false, detail: `port ${port} is in use; set ${name} to another` }))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve({ check: name, ok: true, detail: `port ${port} is free` })))
  })
}

async function platformAnswers(context: CliContext): Promise<Finding> {
  try {
    const { sites } = await clientOf(context).listSites({})
    const live = sites.filter(site => site.phase === 'live').length
    return { check: 'platform', ok: true, detail: `running, ${live} of ${sites.length} sites live` }
  } catch (error) {
    return { check: 'platform', ok: false, detail: `does not answer: ${(error as Error).message}` }
  }
}

/** Says what separates instances from each other here; never claims more than the process driver enforces. */
function isolation(): Finding {
  const cgroup = existsSync('/sys/fs/cgroup/cgroup.controllers') ? 'cgroup v2' : existsSync('/sys/fs/cgroup/memory') ? 'cgroup v1' : 'no cgroups'
  const kernel = existsSync('/proc/version') ? readFileSync('/proc/version', 'utf8').split(' ').slice(0, 3).join(' ') : process.platform
  return {
    check: 'isolation',
    ok: true,
    detail: `${kernel}, ${cgroup}; the process driver gives each instance its own process, database and credentials, and does not enforce CPU or file-system walls`,
  }
}
