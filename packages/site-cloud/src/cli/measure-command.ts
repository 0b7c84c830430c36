import { existsSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { dirname, resolve } from 'node:path'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { Command } from 'commander'
import { middleRun, type Template, type UnitMeasurement } from '../template/index.js'
import { positiveNumber, withExamples } from './arguments.js'
import { type CliContext, progressOf } from './cli-context.js'
import { measureOnce, type UnitRun } from './measure-once.js'
import { show, table } from './output.js'
import { makeFolder } from './platform-home.js'
import { builtInTemplates, capacityFile } from './platform-templates.js'
import { checkProcessMeter } from './process-meter.js'
import { stopSignal } from './stop-signal.js'

interface MeasureFlags {
  readonly rounds: number
  readonly seconds: number
  readonly p99Ms: number
  readonly write?: string
  readonly use?: boolean
}

/** `aaas template measure NAME`: what one instance of a template can do on this machine. */
export function measureCommand(template: Command, context: () => CliContext): void {
  withExamples(
    template
      .command('measure <name>')
      .description(
        'measure what one instance of a template can do here, on a throw-away platform; some three minutes a round',
      )
      .option('--rounds <n>', 'runs, each on a fresh platform; the middle one counts', positiveNumber, 3)
      .option('--seconds <n>', 'length of each measured step, at most 60', positiveNumber, 3)
      .option('--p99-ms <n>', 'latency that 99 of 100 requests must stay below', positiveNumber, 200)
      .option('--write <file>', 'write the figures there, as JSON')
      .option('--use', 'plan the sites of this platform (AAAS_HOME) with them from now on'),
    'aaas template measure shop',
    'aaas template measure shop --rounds 1 --use',
    'aaas template measure shop --write unit-capacity.json --json',
  ).action((name: string, flags: MeasureFlags) => measure(context(), name, flags))
}

async function measure(context: CliContext, name: string, flags: MeasureFlags): Promise<void> {
  const template = builtInTemplates.find(one => one.name === name)
  if (template === undefined) throw new CloudError('site.template.unknown', `no template '${name}'`, { field: 'name' })
  if (flags.seconds > 60) {
    throw new CloudError('core.contract.invalid-input', 'a step has at most 60 seconds', { field: '--seconds' })
  }
  checkProcessMeter()
  const files = [
    ...(flags.write === undefined ? [] : [{ file: resolve(flags.write), field: '--write' }]),
    ...(flags.use === true ? [{ file: capacityFile(context.home, name), field: 'AAAS_HOME' }] : []),
  ]
  for (const one of files) checkWritable(one)
  const signal = stopSignal()
  const progress = progressOf(context)
  const runs: UnitRun[] = []
  for (let round = 1; round <= flags.rounds; round++) {
    const { seconds, p99Ms } = flags
    const say = (text: string): void => progress(`round ${round} of ${flags.rounds}: ${text}`)
    runs.push(await measureOnce({ context, template, seconds, p99Ms, signal, progress: say }))
  }
  const measurement = measurementOf(context, template, flags, runs)
  // Lists of numbers on one line, as formatters of JSON want them.
  const flat = (list: string): string => list.replace(/\s+/g, ' ').replace('[ ', '[').replace(' ]', ']')
  const text = `${JSON.stringify(measurement, null, 2).replace(/\[[\d.,\s]*\]/g, flat)}\n`
  for (const one of files) write(one, text)
  show(context.output, measurement, formatMeasurement)
}

function measurementOf(
  { clock }: CliContext,
  { name, version }: Template,
  { seconds }: MeasureFlags,
  runs: readonly UnitRun[],
): UnitMeasurement {
  const figures = middleRun(runs.map(run => run.figures))
  const [first] = runs
  if (figures === undefined || first === undefined) throw new Error('no round was run')
  const processors = cpus()
  return {
    template: { name, version },
    provenance: {
      date: new Date(clock.now()).toISOString(),
      node: process.versions.node,
      postgres: first.postgres,
      cores: processors.length,
      cpu: processors[0]?.model.trim() ?? 'unknown',
      loadBefore: runs.map(run => run.loadBefore),
      seconds,
      rounds: runs.length,
      ordersPerSecond: runs.map(run => run.figures.ordersPerSecond),
      readsPerSecond: runs.map(run => run.figures.readsPerSecond),
      databaseConnections: first.databaseConnections,
    },
    figures,
  }
}

interface Written {
  readonly file: string
  /** What named the place; for errors. */
  readonly field: string
}

/** Tried before minutes of work. The folder must be there, but for that of a platform to be. */
function checkWritable({ file, field }: Written): void {
  try {
    if (field === 'AAAS_HOME') makeFolder(dirname(file), 0o755)
    if (existsSync(file) && statSync(file).isDirectory()) throw new Error('it is a folder')
    writeFileSync(`${file}.new`, '')
    rmSync(`${file}.new`)
  } catch (cause) {
    throw notWritable({ file, field }, cause)
  }
}

/** All or nothing: a plan must never be made from half a file. */
function write({ file, field }: Written, text: string): void {
  try {
    writeFileSync(`${file}.new`, text)
    renameSync(`${file}.new`, file)
  } catch (cause) {
    throw notWritable({ file, field }, cause)
  }
}

function notWritable({ file, field }: Written, cause: unknown): CloudError {
  const message = `cannot write ${file}: ${(cause as Error).message}`
  return new CloudError('core.kernel.not-writable', message, { field, cause })
}

function formatMeasurement({ figures, provenance }: UnitMeasurement): string {
  const { date, node, postgres, cores, cpu, rounds } = provenance
  const rows = [
    ['one instance, a second', figures.ordersPerSecond, figures.readsPerSecond],
    ['runs', provenance.ordersPerSecond.join(' '), provenance.readsPerSecond.join(' ')],
    ['instance, processor ms', figures.instanceMsPerOrder, figures.instanceMsPerRead],
    ['database, processor ms', figures.databaseMsPerOrder, figures.databaseMsPerRead],
    ['edge, processor ms', figures.edgeMsPerOrder, figures.edgeMsPerRead],
    ['connection held, ms', figures.connectionMsPerOrder, figures.connectionMsPerRead],
  ]
  return [
    table(
      ['', 'ORDERS', 'READS'],
      rows.map(row => row.map(String)),
    ),
    `p99 below ${figures.p99Ms} ms counted from the intended send time; at most ${figures.memoryMb} MB resident`,
    `${date}, ${cores} x ${cpu}, Node ${node}, PostgreSQL ${postgres}, middle of ${rounds}`,
  ].join('\n')
}
