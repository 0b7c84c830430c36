import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CloudError, createLogger, formatLogRecord } from '@aaas/core-cloud/kernel'
import type { Command } from 'commander'
import { generateSite } from '../factory/index.js'
import { withExamples } from './arguments.js'
import { type CliContext, clientOf } from './cli-context.js'
import { portOf } from './free-port.js'
import { launchPlatform, type RunningPlatform } from './launcher.js'
import { deployPlatformServices, serviceNames } from './platform-services.js'
import { engineRange, platformTemplates } from './platform-templates.js'
import { pushSite } from './push-site.js'
import { stopSignal } from './stop-signal.js'
import { waitForSite } from './wait.js'

/** The example that a first start puts on the platform; absent when installed from npm without the repository. */
const exampleDir = fileURLToPath(new URL('../../../../../examples/shop', import.meta.url))

interface UpOptions {
  readonly site?: string
  readonly example: boolean
}

/** `aaas up`: the whole platform in the foreground. */
export function upCommand(program: Command, context: () => CliContext): void {
  const command = program
    .command('up')
    .description('start the platform on this machine and stay in the foreground; Ctrl-C stops everything')
    .option('--site <folder>', 'site to put on an empty platform; default: the example shop')
    .option('--no-example', 'start without a site')
    .addHelpText(
      'after',
      '\nEnvironment: AAAS_HOME data directory (~/.aaas), AAAS_PORT edge (8080), AAAS_CONSOLE_PORT console (AAAS_PORT + 1),\nAAAS_METRICS_PORT metrics of the host (a free port), DATABASE_URL a PostgreSQL server of your own,\nAAAS_ARCHIVE folder for the log of ours (restores to a moment).',
    )
  withExamples(command, 'aaas up', 'AAAS_HOME=/srv/aaas AAAS_PORT=9000 aaas up --site ./tea-house').action(
    (options: UpOptions) => runUp(context(), options),
  )
}

async function runUp(context: CliContext, options: UpOptions): Promise<void> {
  const { environment, output, clock } = context
  const edgePort = portOf(environment, 'AAAS_PORT', 8080)
  const consolePort = portOf(environment, 'AAAS_CONSOLE_PORT', edgePort === 0 || edgePort === 65_535 ? 0 : edgePort + 1)
  const metricsPort = portOf(environment, 'AAAS_METRICS_PORT', 0)
  // A folder that cannot become a site is refused before anything is started.
  const templates = platformTemplates(context.home)
  if (options.site !== undefined) await generateSite({ siteDir: resolve(options.site), templates, engine: engineRange })
  const started = clock.monotonic()
  const progress = (text: string): void => {
    if (!output.json) output.error(`${((clock.monotonic() - started) / 1000).toFixed(1).padStart(6)} s  ${text}`)
  }
  const stop = stopSignal()
  const platform = await launchPlatform({
    home: context.home,
    edgePort,
    consolePort,
    metricsPort,
    ...(environment.DATABASE_URL ? { databaseUrl: environment.DATABASE_URL } : {}),
    ...(environment.AAAS_ARCHIVE ? { archiveDir: resolve(environment.AAAS_ARCHIVE) } : {}),
    clock,
    ids: context.ids,
    logger: createLogger({ now: clock.now, level: 'warn', write: record => output.error(formatLogRecord(record)) }),
    progress,
    signal: stop,
  })
  try {
    await serve(context, platform, options, { stop, progress })
  } finally {
    await platform[Symbol.asyncDispose]()
  }
  progress('stopped; the data stays')
}

interface Serving {
  readonly stop: AbortSignal
  readonly progress: (text: string) => void
}

/** Puts everything in place, says where it is, and stays until somebody ends it. */
async function serve(
  context: CliContext,
  platform: RunningPlatform,
  options: UpOptions,
  { stop, progress }: Serving,
): Promise<void> {
  const siteDir =
    options.site ?? (options.example && existsSync(join(exampleDir, 'site.json')) ? exampleDir : undefined)
  const ended = new Promise<void>(done => stop.addEventListener('abort', () => done(), { once: true }))
  try {
    const site = await bootstrap(context, platform, siteDir, { stop, progress })
    announce(context, platform, site)
    if (!stop.aborted) await ended
  } catch (error) {
    // Ctrl-C while it starts: a clean stop, whatever was under way.
    if (!stop.aborted) throw error
  }
  progress('stopping (every request in flight is answered first)')
}

/** Puts services and, on an empty platform, the first site in place. @returns the name of a site to look at. */
async function bootstrap(
  context: CliContext,
  platform: RunningPlatform,
  siteDir: string | undefined,
  { stop, progress }: Serving,
): Promise<string | undefined> {
  const { home, ids, clock } = context
  const client = clientOf(context)
  const began = clock.now()
  const deployed = await deployPlatformServices({ client, home, ids, edgePort: platform.edgePort })
  if (deployed.length > 0) progress(`deploying ${deployed.join(' and ')}`)
  const { sites } = await client.listSites({})
  const known = sites.filter(site => site.kind === 'site' && site.version > 0).map(site => site.site)
  let [first] = known
  if (first === undefined && siteDir !== undefined) {
    progress(`generating the site of ${siteDir}`)
    const pushed = await pushSite({ client, home, siteDir, templates: platformTemplates(home), engine: engineRange })
    await client.deploy({ site: pushed.site })
    first = pushed.site
  }
  for (const site of [...serviceNames, ...(first === undefined ? [] : [first])]) {
    const options = {
      client,
      clock,
      site,
      signal: stop,
      reportedAfter: began,
      progress: (text: string) => progress(`${site}: ${text}`),
    }
    await waitForSite(options).catch((error: unknown) => {
      // A site that was there before and is ill now must not keep an operator from the console that could mend it.
      if (stop.aborted || !known.includes(site)) throw error
      context.output.error(`warning: ${CloudError.from(error).message}`)
    })
  }
  return first
}

function announce(context: CliContext, platform: RunningPlatform, site: string | undefined): void {
  const { output, home } = context
  const storefront = site === undefined ? undefined : `http://${site}.localhost:${platform.edgePort}/`
  const byPath = site === undefined ? undefined : `http://127.0.0.1:${platform.edgePort}/s/${site}/`
  const console = `http://127.0.0.1:${platform.consolePort}/`
  if (output.json) {
    output.line(
      JSON.stringify({
        storefront,
        byPath,
        console,
        adminPasswordFile: home.adminPasswordFile,
        edgePort: platform.edgePort,
        consolePort: platform.consolePort,
        metricsPort: platform.metricsPort,
        metricsTokenFile: home.metricsTokenFile,
      }),
    )
    return
  }
  const lines = [
    '',
    ...(storefront === undefined
      ? []
      : [`  storefront: ${storefront}`, `              ${byPath} (when .localhost names do not resolve)`]),
    `  console: ${console}`,
    `           user admin, password in ${home.adminPasswordFile}`,
    `  metrics: ${console}metrics, http://127.0.0.1:${platform.metricsPort}/metrics (token in ${home.metricsTokenFile})`,
    `  data: ${home.dir}`,
    '  stop: Ctrl-C',
    '',
  ]
  for (const line of lines) output.line(line)
}
