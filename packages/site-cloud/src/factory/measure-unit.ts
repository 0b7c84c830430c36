import { type Clock, CloudError, type Ids, sleep } from '@aaas/core-cloud/kernel'
import { type Probe, type ProbeStep, probeStep, startProbe, stepPassed, type UnitFigures } from '../template/index.js'
import { type Sample, spreadTimes, summarise } from './load-core.js'
import { openLoop } from './open-loop.js'
import { type LoadTarget, ShopRequests } from './shop-requests.js'

/** Cumulative milliseconds since whenever; only differences count. */
export interface UnitUsage {
  /** Processor time. */
  readonly instanceMs: number
  readonly databaseMs: number
  readonly edgeMs: number
  /** Time in which connections to the site's database were busy: statements, and waiting inside a transaction. */
  readonly connectionMs: number
}

/** What a run reads of the one instance and of what it leans on. */
export interface UnitMeters {
  usage(): Promise<UnitUsage>
  /** Largest resident memory of the instance so far, MiB. */
  peakMemoryMb(): Promise<number>
}

export interface MeasureOptions {
  /** A site that runs as one instance. */
  readonly target: LoadTarget
  readonly meters: UnitMeters
  readonly p99Ms: number
  /** Of each step, 1 to 60. */
  readonly seconds: number
  readonly readsPerOrder: number
  readonly clock: Clock
  readonly ids: Ids
  readonly signal: AbortSignal
  readonly progress: (text: string) => void
}

type Kind = 'order' | 'read'

/** Requests per second of the first step: far below what any machine of these days can do. */
const startRates = { order: 40, read: 200 } as const
/** Seconds of load before each measured part, so that it begins with queues as they are at this rate. */
const warmUpSeconds = 1
/** Costs are taken over this many steps' time: processor time comes in ticks of ten milliseconds. */
const costSteps = 3
/** Share of the found rate at which costs are taken: where instances are planned to run. Batches are smaller there. */
const costShare = 0.6
/** An idle connection reports its last statements within ten seconds. */
const reportMs = 10_500

/**
 * Measures one instance through the edge, orders and reads each by itself: the highest rate at which every request is
 * answered and 99 of 100 within `p99Ms` counted from the intended send time, found by a stepped open-loop search; then
 * what each request costs, at 60 % of that rate.
 * @throws CloudError `site.template.unmeasurable` when not even the lowest rate passes; the reason of `signal` when it
 *   aborts.
 */
export async function measureUnit(options: MeasureOptions): Promise<UnitFigures> {
  const { target, ids, meters, p99Ms, readsPerOrder } = options
  const requests = new ShopRequests({ target, ids })
  try {
    const ordersPerSecond = await search(options, requests, 'order')
    const readsPerSecond = await search(options, requests, 'read')
    const order = await costs(options, requests, 'order', ordersPerSecond)
    const read = await costs(options, requests, 'read', readsPerSecond)
    return {
      ordersPerSecond,
      readsPerSecond,
      p99Ms,
      readsPerOrder,
      instanceMsPerOrder: order.instanceMs,
      instanceMsPerRead: read.instanceMs,
      databaseMsPerOrder: order.databaseMs,
      databaseMsPerRead: read.databaseMs,
      edgeMsPerOrder: order.edgeMs,
      edgeMsPerRead: read.edgeMs,
      connectionMsPerOrder: order.connectionMs,
      connectionMsPerRead: read.connectionMs,
      memoryMb: Math.ceil(await meters.peakMemoryMb()),
    }
  } finally {
    requests.close()
  }
}

/** @returns the highest rate that passed. */
async function search(options: MeasureOptions, requests: ShopRequests, kind: Kind): Promise<number> {
  const { p99Ms, progress } = options
  let probe: Probe = startProbe({ p99Ms, startRate: startRates[kind] })
  while (probe.turn.kind === 'measure') {
    const { rate } = probe.turn
    const step = await measureStep(options, requests, { kind, rate, seconds: options.seconds })
    const said = stepPassed(step, p99Ms) ? 'passed' : 'failed'
    progress(
      `${kind}s at ${rate}/s: ${said} (${step.achievedRate}/s answered, p99 ${step.p99Ms} ms, ${step.errors} errors)`,
    )
    probe = probeStep(probe, step)
  }
  const { end, rate, steps } = probe.turn
  if (end === 'nothing-passed') {
    throw new CloudError(
      'site.template.unmeasurable',
      `one instance cannot answer a single ${kind} a second here with a p99 below ${p99Ms} ms`,
    )
  }
  progress(`${kind}s: ${rate}/s after ${steps} steps (${end})`)
  return rate
}

interface Step {
  readonly kind: Kind
  readonly rate: number
  readonly seconds: number
}

/** Only what was meant to be sent in the measured part counts for latency and errors, whenever it was answered. */
async function measureStep(options: MeasureOptions, requests: ShopRequests, step: Step): Promise<ProbeStep> {
  const { clock, ids, signal } = options
  const { kind, rate, seconds } = step
  const random = (): number => ids.random()
  const warm = spreadTimes({ perSecond: rate, seconds: warmUpSeconds, random })
  const measured = spreadTimes({ perSecond: rate, seconds, random }).map(at => at + warmUpSeconds * 1000)
  const plan = [...warm, ...measured].map(at => ({ at, kind }))
  const samples = await openLoop({ plan, send: one => requests.send(one), clock, signal })
  signal.throwIfAborted()
  return stepResult(samples, step)
}

function stepResult(samples: readonly Sample[], { kind, rate, seconds }: Step): ProbeStep {
  const from = warmUpSeconds * 1000
  const to = from + seconds * 1000
  const measured = samples.filter(sample => sample.intended >= from)
  const { failed, p99Ms } = summarise(kind, measured, seconds)
  const answered = samples.filter(sample => sample.ok && sample.finished >= from && sample.finished < to).length
  return { rate, achievedRate: Math.round((answered / seconds) * 10) / 10, p99Ms, errors: failed }
}

/** What one request costs, in milliseconds. */
async function costs(options: MeasureOptions, requests: ShopRequests, kind: Kind, found: number): Promise<UnitUsage> {
  const { meters, clock, signal, progress } = options
  const rate = Math.max(1, Math.round(found * costShare * 10) / 10)
  await sleep(clock, reportMs, signal)
  const before = await meters.usage()
  let sent = 0
  const send = (one: string): Promise<boolean> => {
    sent += 1
    return requests.send(one)
  }
  const random = (): number => options.ids.random()
  const plan = spreadTimes({ perSecond: rate, seconds: options.seconds * costSteps, random }).map(at => ({ at, kind }))
  const samples = await openLoop({ plan, send, clock, signal })
  signal.throwIfAborted()
  // What requests leave to do later, such as events of orders, is part of their cost.
  await sleep(clock, reportMs, signal)
  const after = await meters.usage()
  const failed = samples.filter(sample => !sample.ok).length
  if (failed > 0) throw new CloudError('site.template.unmeasurable', `${failed} ${kind}s failed at ${rate}/s`)
  const each = (ms: number): number => Math.round((ms / sent) * 1000) / 1000
  const cost = {
    instanceMs: each(after.instanceMs - before.instanceMs),
    databaseMs: each(after.databaseMs - before.databaseMs),
    edgeMs: each(after.edgeMs - before.edgeMs),
    connectionMs: each(after.connectionMs - before.connectionMs),
  }
  progress(
    `${kind}s at ${rate}/s cost each: instance ${cost.instanceMs} ms, database ${cost.databaseMs} ms, edge ${cost.edgeMs} ms; a connection is held ${cost.connectionMs} ms`,
  )
  return cost
}
