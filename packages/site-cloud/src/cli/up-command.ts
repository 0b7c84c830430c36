import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CloudError, createLogger, formatLogRecord } from '@aaas/core-cloud/kernel'
import type { Command } from 'commander'
import { type CliContext, clientOf } from './cli-context.js'
import { launchPlatform, type RunningPlatform } from './launcher.js'
import { deployPlatformServices } from './platform-services.js'
import { engineRange, templates } from './platform-templates.js'
import { pushSite } from './push-site.js'
import { waitForSite } from './wait.js'

/** The example that a first start puts on the platform; absent when installed from npm without the repository. */
const exampleDir = fileURLToPath(new URL('../../../../../examples/shop', import.meta.url))

/** `aaas up`: the whole platform in the foreground. */
export function upCommand(program: Command, context: () => CliContext): void {
  program
    .command('up')
    .description('start the platform on this machine and stay in the foreground; Ctrl-C stops everything')
    .option('--site <folder>', 'site to put on an empty platform; default: the example shop')
    .option('--no-example', 'start without a site')
    .addHelpText(
      'after',
      '\nEnvironment: AAAS_HOME data directory (~/.aaas), AAAS_PORT edge (8080), AAAS_CONSOLE_PORT console (AAAS_PORT + 1),\nDATABASE_URL a PostgreSQL server of your own.',
    )
    .action(async (options: { site?: string; example: boolean }) => runUp(context(), options))
}

async function runUp(context: CliContext, options: { site?: string; example: boolean }): Promise<void> {
  const { environment, output, clock } = context
  const edgePort = portOf(environment, 'AAAS_PORT', 8080)
  const consolePort = portOf(environment, 'AAAS_CONSOLE_PORT', edgePort === 0 ? 0 : edgePort + 1)
  const started = clock.monotonic()
  const progress = (text: string): void => {
    if (!output.json) output.error(`${((clock.monotonic() - started) / 1000).toFixed(1).padStart(6)} s  ${text}`)
  }
  const stopped = new AbortController()
  const stopSignal = new Promise<string>(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        resolve(signal)
        stopped.abort()
      })
    }
  })
  const platform = await launchPlatform({
    home: context.home,
    edgePort,
    consolePort,
    ...(environment.DATABASE_URL ? { databaseUrl: environment.DATABASE_URL } : {}),
    clock,
    ids: context.ids,
    logger: createLogger({ now: clock.now, level: 'warn', write: record => output.error(formatLogRecord(record)) }),
    progress,
  })
  try {
    const siteDir = options.site ?? (options.example && existsSync(join(exampleDir, 'site.json')) ? exampleDir : undefined)
    const site = await Promise.race([bootstrap(context, platform, siteDir, progress), stopSignal.then(() => undefined)])
    if (!stopped.signal.aborted) {
      announce(context, platform, site)
      await stopSignal
    }
    progress('stopping (every request in flight is answered first)')
  } finally {
    await platform[Symbol.asyncDispose]()
  }
  progress('stopped; the data stays')
}

/** Puts services and, on an empty platform, the first site in place. @returns the name of a site to look at. */
async function bootstrap(
  context: CliContext,
  platform: RunningPlatform,
  siteDir: string | undefined,
  progress: (text: string) => void,
): Promise<string | undefined> {
  const { home, ids, clock } = context
  const client = clientOf(context)
  const deployed = await deployPlatformServices({ client, home, ids, edgePort: platform.edgePort })
  if (deployed.length > 0) progress(`deploying ${deployed.join(' and ')}`)
  const { sites } = await client.listSites({})
  let first = sites.find(site => site.kind === 'site')?.site
  if (first === undefined && siteDir !== undefined) {
    progress(`generating the site of ${siteDir}`)
    const pushed = await pushSite({ client, home, siteDir, templates, engine: engineRange })
    await client.deploy({ site: pushed.site })
    first = pushed.site
  }
  for (const name of ['simulator', 'payment', ...(first === undefined ? [] : [first])]) {
    await waitForSite({ client, clock, site: name, progress: text => progress(`${name}: ${text}`) })
  }
  return first
}

function announce(context: CliContext, platform: RunningPlatform, site: string | undefined): void {
  const { output, home } = context
  const storefront = site === undefined ? undefined : `http://${site}.localhost:${platform.edgePort}/`
  const byPath = site === undefined ? undefined : `http://127.0.0.1:${platform.edgePort}/s/${site}/`
  const console = `http://127.0.0.1:${platform.consolePort}/`
  if (output.json) {
    output.line(JSON.stringify({ storefront, byPath, console, adminPasswordFile: home.adminPasswordFile, edgePort: platform.edgePort, consolePort: platform.consolePort }))
    return
  }
  const lines = [
    '',
    ...(storefront === undefined ? [] : [`  storefront: ${storefront}`, `              ${byPath} (when .localhost names do not resolve)`]),
    `  console: ${console}`,
    `           user admin, password in ${home.adminPasswordFile}`,
    `  data: ${home.dir}`,
    '  stop: Ctrl-C',
    '',
  ]
  for (const line of lines) output.line(line)
}

function portOf(environment: NodeJS.ProcessEnv, name: string, otherwise: number): number {
  const text = environment[name]
  if (text === undefined || text === '') return otherwise
  const port = Number(text)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new CloudError('core.kernel.invalid-config', `${name} must be a port from 0 to 65535, not '${text}'`, { field: name })
  }
  return port
}
