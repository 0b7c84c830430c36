import { CloudError } from '@aaas/core-cloud/kernel'
import type { UnitCapacity } from './template.js'

/** Measured figures and where they come from; the JSON that `aaas template measure --write` writes. */
export interface UnitMeasurement {
  readonly template: { readonly name: string; readonly version: string }
  readonly provenance: {
    /** ISO 8601, UTC. */
    readonly date: string
    readonly node: string
    readonly postgres: string
    readonly cores: number
    readonly cpu: string
    /** Load average of the last minute before each run: what else the machine did. Empty when nobody looked. */
    readonly loadBefore: readonly number[]
    /** Seconds of each measured step. */
    readonly seconds: number
    /** Runs, each on a fresh platform; the figures are those of the middle one. */
    readonly rounds: number
    /** Orders and reads a second that each run found, in the order of the runs. */
    readonly ordersPerSecond: readonly number[]
    readonly readsPerSecond: readonly number[]
    /** Database connections the instance had. */
    readonly databaseConnections: number
  }
  readonly figures: UnitFigures
}

/** The numbers of one run. */
export type UnitFigures = Omit<UnitCapacity, 'measuredOn' | 'cores'>

/** Those that a plan divides by. */
const positive = ['ordersPerSecond', 'readsPerSecond', 'p99Ms', 'memoryMb'] as const
const others = [
  'readsPerOrder',
  'instanceMsPerOrder',
  'instanceMsPerRead',
  'databaseMsPerOrder',
  'databaseMsPerRead',
  'edgeMsPerOrder',
  'edgeMsPerRead',
  'connectionMsPerOrder',
  'connectionMsPerRead',
] as const satisfies readonly Exclude<keyof UnitFigures, (typeof positive)[number]>[]

/**
 * Reads what `aaas template measure` wrote.
 * @param source - named in errors, such as the file.
 * @throws CloudError `site.template.invalid-capacity` naming the field.
 */
export function parseMeasurement(text: string, source: string): UnitMeasurement {
  const fail = (field: string, reason: string): CloudError =>
    new CloudError('site.template.invalid-capacity', `${source}: ${field === '' ? '' : `${field} `}${reason}`, {
      field,
    })
  let value: Partial<UnitMeasurement> | null
  try {
    value = JSON.parse(text) as Partial<UnitMeasurement> | null
  } catch (error) {
    throw fail('', `is not JSON: ${(error as Error).message}`)
  }
  const { template, provenance, figures } = value ?? {}
  for (const key of ['name', 'version'] as const) {
    if (typeof template?.[key] !== 'string') throw fail(`template/${key}`, 'must be a text')
  }
  for (const key of ['date', 'node', 'postgres', 'cpu'] as const) {
    if (typeof provenance?.[key] !== 'string') throw fail(`provenance/${key}`, 'must be a text')
  }
  for (const key of ['cores', 'rounds'] as const) {
    if (!(Number(provenance?.[key]) >= 1)) throw fail(`provenance/${key}`, 'must be a number of at least 1')
  }
  for (const key of [...positive, ...others]) {
    const figure: unknown = figures?.[key]
    const least = (positive as readonly string[]).includes(key) ? Number.MIN_VALUE : 0
    if (typeof figure !== 'number' || !Number.isFinite(figure) || figure < least) {
      throw fail(`figures/${key}`, least === 0 ? 'must be a number of at least 0' : 'must be a number above 0')
    }
  }
  return value as UnitMeasurement
}

/** What sizing needs of a measurement. */
export function unitCapacity({ figures, provenance }: UnitMeasurement): UnitCapacity {
  const { date, cores, cpu, node, postgres } = provenance
  const measuredOn = `measured ${date.slice(0, 10)} on ${cores} x ${cpu}, Node ${node}, PostgreSQL ${postgres}`
  return { ...figures, cores, measuredOn }
}

/** The run in the middle by the orders with their reads that it could do: figures of one run belong together. */
export function middleRun(runs: readonly UnitFigures[]): UnitFigures | undefined {
  const sorted = [...runs].sort((a, b) => costOf(a) - costOf(b))
  return sorted[Math.floor((sorted.length - 1) / 2)]
}

/** Seconds of one instance that an order with its reads takes. */
export function costOf(unit: UnitFigures): number {
  return 1 / unit.ordersPerSecond + unit.readsPerOrder / unit.readsPerSecond
}
