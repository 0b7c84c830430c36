import type { Clock } from '../kernel/clock.js'
import type { Ids } from '../kernel/ids.js'
import type { ProcessUsage } from './process-usage.js'
import type { ReadingSpool } from './reading-spool.js'

/** What came and went through the edge for one instance, sums since it started. */
export interface Traffic {
  readonly requests: number
  readonly requestBytes: number
  readonly responseBytes: number
}

export interface MeterOptions {
  readonly clock: Clock
  readonly ids: Ids
  readonly spool: ReadingSpool
  readonly usageOf: (pid: number) => ProcessUsage | undefined
  readonly trafficOf: (instance: string) => Traffic | undefined
  /** Milliseconds between samples; default 10_000. */
  readonly sampleMs?: number
}

interface Metered {
  readonly site: string
  readonly instance: string
  readonly pid: number
  readonly epoch: string
  seq: number
  sampledAt: number
  cpuMs: number
  memoryKib: number
  memoryKibSeconds: number
  traffic: Traffic
}

/**
 * Measures instances and hands cumulative readings to the spool: `cpuMs` (kernel's count, children included),
 * `memoryKibSeconds` (resident KiB times seconds between samples), `requests`, `requestBytes`, `responseBytes` (as the
 * edge counted them). What a killed process used after its last sample is not counted.
 */
export interface Meter extends AsyncDisposable {
  /** A process has started. */
  open(process: { readonly site: string; readonly instance: string; readonly pid: number }): void
  /** Takes a sample now, such as before a planned stop. */
  sample(instance: string): void
  /** The process is gone: counts its last traffic. */
  close(instance: string): void
  /** The newest sample, for people. */
  latest(instance: string): ProcessUsage | undefined
}

export function createMeter(options: MeterOptions): Meter {
  const { clock, ids, spool, sampleMs = 10_000 } = options
  const open = new Map<string, Metered>()
  let stopped = false
  let cancelTimer: () => void = () => undefined

  const sample = (metered: Metered, gone = false): void => {
    // The number of a process that has gone may be another's already.
    const usage = gone ? undefined : options.usageOf(metered.pid)
    const now = clock.monotonic()
    // Between samples memory is taken to be what it was at the former one.
    metered.memoryKibSeconds += (metered.memoryKib * (now - metered.sampledAt)) / 1_000
    metered.sampledAt = now
    metered.memoryKib = usage?.memoryKib ?? 0
    // A child that just ended is for a moment counted neither by itself nor by its parent.
    metered.cpuMs = Math.max(metered.cpuMs, usage?.cpuMs ?? 0)
    metered.traffic = options.trafficOf(metered.instance) ?? metered.traffic
    metered.seq += 1
    spool.put({
      source: metered.instance,
      site: metered.site,
      epoch: metered.epoch,
      seq: metered.seq,
      at: clock.now(),
      counters: {
        cpuMs: metered.cpuMs,
        memoryKibSeconds: Math.round(metered.memoryKibSeconds),
        requests: metered.traffic.requests,
        requestBytes: metered.traffic.requestBytes,
        responseBytes: metered.traffic.responseBytes,
      },
    })
  }
  const tick = async (): Promise<void> => {
    for (const metered of open.values()) sample(metered)
    await spool.flush()
    if (!stopped) cancelTimer = clock.after(sampleMs, () => void tick())
  }
  cancelTimer = clock.after(sampleMs, () => void tick())

  return {
    open: process => void open.set(process.instance, begin(process, ids.uuid(), clock.monotonic())),
    sample(instance) {
      const metered = open.get(instance)
      if (metered !== undefined) sample(metered)
    },
    close(instance) {
      const metered = open.get(instance)
      if (metered === undefined) return
      open.delete(instance)
      sample(metered, true)
    },
    latest(instance) {
      const metered = open.get(instance)
      return metered === undefined || metered.seq === 0
        ? undefined
        : { cpuMs: metered.cpuMs, memoryKib: metered.memoryKib }
    },
    async [Symbol.asyncDispose]() {
      stopped = true
      cancelTimer()
      for (const metered of open.values()) sample(metered)
      await spool.flush()
    },
  }
}

function begin(process: Pick<Metered, 'site' | 'instance' | 'pid'>, epoch: string, now: number): Metered {
  const { site, instance, pid } = process
  const traffic = { requests: 0, requestBytes: 0, responseBytes: 0 }
  return { site, instance, pid, epoch, seq: 0, sampledAt: now, cpuMs: 0, memoryKib: 0, memoryKibSeconds: 0, traffic }
}
