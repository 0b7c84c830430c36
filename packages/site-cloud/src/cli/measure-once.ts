import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { CloudError, createLogger, formatLogRecord, sleep } from '@aaas/core-cloud/kernel'
import { pgDatabase } from '@aaas/support-cloud/rdbms'
import { measureUnit, type UnitMeters } from '../factory/index.js'
import type { Site } from '../site-center/index.js'
import type { CapacityPlan, Template, UnitFigures } from '../template/index.js'
import { type CliContext, clientOf } from './cli-context.js'
import { launchPlatform, type RunningPlatform } from './launcher.js'
import { openTarget } from './load-target.js'
import { newSite, sampleCatalogue } from './new-site.js'
import { platformHome } from './platform-home.js'
import { engineRange } from './platform-templates.js'
import { probeCatalogue } from './probe-catalogue.js'
import { cpuMsOf, peakMemoryMbOf, postgresCpuMs } from './process-meter.js'
import { pushSite } from './push-site.js'
import { waitForSite } from './wait.js'

const site = 'probe'
/** The sample has 35 products: some 2,000 in all. */
const catalogueCopies = 58
const products = 400

export interface MeasureOnceOptions {
  readonly context: CliContext
  readonly template: Template
  readonly seconds: number
  readonly p99Ms: number
  readonly signal: AbortSignal
  readonly progress: (text: string) => void
}

export interface UnitRun {
  readonly figures: UnitFigures
  readonly postgres: string
  /** Load average of the minute before. */
  readonly loadBefore: number
  readonly databaseConnections: number
}

/**
 * One run on a platform of its own: PostgreSQL, control, host with the edge, and one instance of a site of the template;
 * its folder and its processes are gone afterwards, however it ends. The load comes from this process, on the same
 * machine: what it takes of the processors is missing to the site, so the figures are rather too low than too high.
 */
export async function measureOnce(options: MeasureOnceOptions): Promise<UnitRun> {
  const { clock, ids, output } = options.context
  const { progress, signal } = options
  const loadBefore = Math.round((loadavg()[0] ?? 0) * 100) / 100
  if (loadBefore > cpus().length / 2) progress(`the machine is busy (load ${loadBefore}): the figures will be too low`)
  const dir = mkdtempSync(join(tmpdir(), 'aaas-m-'))
  try {
    const home = platformHome({ AAAS_HOME: join(dir, 'home') })
    await using platform = await launchPlatform({
      home,
      edgePort: 0,
      consolePort: 0,
      metricsPort: 0,
      clock,
      ids,
      logger: createLogger({ now: clock.now, level: 'warn', write: record => output.error(formatLogRecord(record)) }),
      progress,
      signal,
    })
    const inside = { ...options, context: { ...options.context, home } }
    return { ...(await measureOn(inside, platform, join(dir, 'site'))), loadBefore }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

async function measureOn(
  options: MeasureOnceOptions,
  platform: RunningPlatform,
  siteDir: string,
): Promise<Omit<UnitRun, 'loadBefore'>> {
  const { context, template, seconds, p99Ms, signal, progress } = options
  const { clock, ids } = context
  progress('generating the site')
  const { plan, pid } = await startOneInstance(options, siteDir)
  const { target, close } = await openTarget(context, site, { products })
  await using meters = openMeters(context, platform, pid)
  const { readsPerOrder } = template.capacity
  const figures = await measureUnit({ target, meters, p99Ms, seconds, readsPerOrder, clock, ids, signal, progress })
  await close()
  return { figures, postgres: platform.postgres.version, databaseConnections: plan.databaseConnections }
}

/** @returns the process id of the only instance, and the plan it runs by. */
async function startOneInstance(
  { context, template, signal, progress }: MeasureOnceOptions,
  siteDir: string,
): Promise<{ readonly plan: CapacityPlan; readonly pid: number }> {
  const { clock, home } = context
  await newSite({ name: site, template: template.name, dir: siteDir })
  writeFileSync(
    join(siteDir, 'catalogue.csv'),
    probeCatalogue(await readFile(sampleCatalogue, 'utf8'), catalogueCopies),
  )
  const client = clientOf(context)
  const { plan } = await pushSite({ client, home, siteDir, templates: [template], engine: engineRange })
  await client.deploy({ site })
  await client.scale({ site, instances: 1 })
  const wait = { client, clock, site, signal, progress: (text: string) => progress(text) }
  for (;;) {
    const view = await waitForSite(wait)
    const pid = onlyInstance(view)
    if (pid !== undefined) return { plan, pid }
    await sleep(clock, 200, signal)
  }
}

function onlyInstance({ instances }: Site): number | undefined {
  return instances.length === 1 ? instances[0]?.pid : undefined
}

/** The server of a throw-away platform has nobody's databases but the platform's: control's is left out. */
function openMeters({ home }: CliContext, platform: RunningPlatform, pid: number): UnitMeters & AsyncDisposable {
  const host = platform.pids().host
  if (host === undefined) throw new CloudError('site.template.unmeasurable', 'the host ended')
  const database = pgDatabase({ url: platform.postgres.url, maxConnections: 1 })
  return {
    usage: async () => {
      const [row] = await database.query<{ ms: number }>({
        text: `select sum(active_time + idle_in_transaction_time)::float8 as ms from pg_stat_database
          where datname not in ('postgres', 'aaas_control')`,
      })
      return {
        instanceMs: cpuMsOf(pid),
        databaseMs: postgresCpuMs(home.postgresDir),
        edgeMs: cpuMsOf(host),
        connectionMs: row?.ms ?? 0,
      }
    },
    peakMemoryMb: async () => peakMemoryMbOf(pid),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  }
}
