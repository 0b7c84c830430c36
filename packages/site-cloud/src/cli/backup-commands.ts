import { existsSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { resolve } from 'node:path'
import { CloudError, silentLogger } from '@aaas/core-cloud/kernel'
import {
  type BackupInfo,
  backupCluster,
  restoreCluster,
  runningServerUrl,
  systemSearchPath,
} from '@aaas/support-cloud/rdbms'
import { type Command, InvalidArgumentError } from 'commander'
import { withExamples } from './arguments.js'
import { type CliContext, progressOf } from './cli-context.js'
import { adminUrlOf, refuseForeignServer } from './local-database.js'
import { show } from './output.js'
import { prepareHome } from './platform-home.js'
import { takePlatformLock } from './platform-lock.js'

const scope =
  'Databases of all sites and of the platform itself. Not in it: packages/ and secrets/ of AAAS_HOME, which are files.'

/** `aaas backup`, `aaas restore` */
export function backupCommands(program: Command, context: () => CliContext): void {
  withExamples(
    program
      .command('backup <folder>')
      .description('copy the database server into a new folder while it works; holds data and passwords')
      .addHelpText('after', `\n${scope}`),
    'aaas backup /backup/monday',
  ).action((folder: string) => backup(context(), folder))
  withExamples(
    program
      .command('restore <backup>')
      .description('bring the database server of a stopped platform back from a backup')
      .option('--archive <folder>', 'log of the server behind the backup (AAAS_ARCHIVE of `aaas up`)')
      .option('--until <time>', 'ISO time: what had committed by then; needs --archive', instant)
      .option('--replace', 'put data that is there aside, as postgres.before-TIME')
      .addHelpText('after', `\n${scope}`),
    'aaas restore /backup/monday --replace',
    'AAAS_HOME=/srv/second aaas restore /backup/monday --archive /backup/log --until 2026-11-20T12:00:00Z',
  ).action((folder: string, options: RestoreFlags) => restore(context(), folder, options))
}

function instant(text: string): number {
  const at = Date.parse(text)
  // Without a zone the same text is another moment on another machine.
  if (Number.isNaN(at) || !/(Z|[+-]\d\d:?\d\d)$/.test(text)) {
    throw new InvalidArgumentError('must be an ISO time with a zone, such as 2026-11-20T12:00:00Z')
  }
  return at
}

async function backup(context: CliContext, folder: string): Promise<void> {
  const { home, clock, ids, output } = context
  refuseForeignServer(context, 'back')
  const url = await adminUrlOf(context)
  progressOf(context)(`copying ${home.postgresDir}`)
  const [dataDir, to] = [home.postgresDir, resolve(folder)]
  const info = await backupCluster({ dataDir, url, to, clock, ids, signal: context.interrupted() })
  show(output, { folder: to, ...info }, done => formatBackup(done))
}

function formatBackup(info: BackupInfo & { readonly folder: string }): string {
  const seconds = ((info.endedAt - info.startedAt) / 1000).toFixed(1)
  return `${info.folder}: PostgreSQL ${info.version}, as of ${new Date(info.endedAt).toISOString()}, took ${seconds} s`
}

interface RestoreFlags {
  readonly archive?: string
  readonly until?: number
  readonly replace?: boolean
}

async function restore(context: CliContext, folder: string, flags: RestoreFlags): Promise<void> {
  const { home, clock, ids, output } = context
  refuseForeignServer(context, 'restore')
  prepareHome(home)
  const unlock = takePlatformLock(home.lockFile, process.pid, clock.now())
  try {
    const aside = await putAside(context, flags.replace === true)
    progressOf(context)(`restoring ${home.postgresDir}`)
    try {
      const { endedAt } = await restoreCluster({
        backup: resolve(folder),
        dataDir: home.postgresDir,
        socketDir: home.runDir,
        searchPath: systemSearchPath(),
        ...(flags.archive === undefined ? {} : { archive: resolve(flags.archive) }),
        ...(flags.until === undefined ? {} : { until: flags.until }),
        ...{ clock, ids, logger: silentLogger, signal: context.interrupted() },
      })
      const at = endedAt === 0 ? null : new Date(endedAt).toISOString()
      show(output, { dataDir: home.postgresDir, until: at, aside: aside?.data ?? null }, formatRestore)
    } catch (error) {
      await aside?.back()
      throw error
    }
  } finally {
    unlock()
  }
}

function formatRestore(done: { dataDir: string; until: string | null; aside: string | null }): string {
  const until = done.until === null ? 'as the backup has it' : `with all until ${done.until}`
  return `${done.dataDir}: restored, ${until}${done.aside === null ? '' : `\nwhat was there lies in ${done.aside}`}`
}

interface Aside {
  readonly data: string
  back(): Promise<void>
}

/**
 * @throws CloudError `core.kernel.invalid-config` when there is data and nobody said that it may be replaced;
 *   `core.deploy.already-running` when a server works on it, such as one whose platform was killed a moment ago.
 */
async function putAside({ home, clock }: CliContext, replace: boolean): Promise<Aside | undefined> {
  const here = home.postgresDir
  if (!existsSync(here)) return undefined
  if (!replace) {
    throw new CloudError('core.kernel.invalid-config', `${here} has data; --replace puts it aside`, {
      field: 'replace',
    })
  }
  const works = runningServerUrl({ dataDir: here, socketDir: home.runDir }).then(
    () => true,
    () => false,
  )
  if (await works) {
    throw new CloudError('core.deploy.already-running', `a database server works on ${here}`, { field: 'AAAS_HOME' })
  }
  const data = `${here}.before-${new Date(clock.now()).toISOString().replaceAll(':', '')}`
  // The password goes first: data without one is refused by nobody, a password without data is harmless.
  const moves = ['.password', '']
    .map(end => [`${here}${end}`, `${data}${end}`] as const)
    .filter(([from]) => existsSync(from))
  for (const [from, to] of moves) await rename(from, to)
  return {
    data,
    async back() {
      for (const [from, to] of moves.toReversed()) await rename(to, from)
    },
  }
}
