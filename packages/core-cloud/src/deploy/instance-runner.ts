import { createServer, type Server } from 'node:http'
import type { LoadedPackage, RunningHookHost } from '@aaas/core-cloud/cloudware'
import type { Reading, ReadingSpool } from '@aaas/core-cloud/metering'
import { type CollectedFamily, callTelemetry, metricRegistry, processMetrics } from '@aaas/core-cloud/telemetry'
import { type Clock, sleep } from '../kernel/clock.js'
import { CloudError } from '../kernel/errors.js'
import type { Ids } from '../kernel/ids.js'
import type { Logger } from '../kernel/logger.js'
import type { InstanceBus } from './instance-bus.js'
import type { FromInstance, InstanceCheck, InstanceOptions, ParentChannel, ToInstance } from './instance-messages.js'
import { loadProgram } from './load-program.js'
import type { RunningProgram } from './program.js'
import { warmUp } from './warm-up.js'

export interface InstanceRunnerOptions {
  readonly channel: ParentChannel<ToInstance, FromInstance>
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  /** @param spool - takes what tenants used of this instance directly. */
  readonly openBus: (wanted: InstanceOptions, spool: ReadingSpool) => Promise<InstanceBus>
  readonly createHookHost: () => RunningHookHost
  /** Resident memory in bytes and processor time in milliseconds of this process. */
  readonly usage: () => { readonly memoryBytes: number; readonly cpuMs: number }
  readonly exit: (code: number) => void
}

/** Between two tries of the first health check. */
const healthRetryMs = 100
/** What is left to a child whose host has died: nobody can reach it any more. */
const orphanDeadlineMs = 2_000

interface Running {
  readonly program: RunningProgram
  readonly hooks: RunningHookHost
  readonly bus: InstanceBus
  readonly server: Server
  readonly metrics: () => readonly CollectedFamily[]
}

/** The life of an instance process: start as told, serve, answer checks, take cloudware over, drain, end. */
export function runInstance(options: InstanceRunnerOptions): void {
  const { channel, clock, logger, exit } = options
  let running: Promise<Running> | undefined
  let ending = false
  let cloudware = Promise.resolve()

  /** One set at a time, in the order in which they were sent. Never rejects. */
  const setCloudware = (packages: readonly LoadedPackage[]): Promise<void> => {
    cloudware = cloudware.then(async () => {
      try {
        await (await running)?.hooks.set(packages)
      } catch (error) {
        logger.error('cloudware could not be applied', { error })
      }
    })
    return cloudware
  }
  const answer = async (id: number): Promise<void> => {
    await channel.send({ type: 'checked', id, check: await check(options, running) })
  }
  const tell = async (id: number): Promise<void> => {
    const families = await running?.then(parts => parts.metrics()).catch(() => [])
    await channel.send({ type: 'metrics', id, families: families ?? [] })
  }
  const start = async (wanted: InstanceOptions): Promise<void> => {
    running = open(options, wanted)
    const applied = setCloudware(wanted.cloudware)
    try {
      const parts = await running
      await applied
      await untilHealthy(parts.program, clock, logger)
      await listen(parts.server, wanted.httpSocket)
      await warmUp({ socketPath: wanted.httpSocket, paths: parts.program.warmUp ?? [], clock })
      await channel.send({ type: 'ready' })
    } catch (error) {
      logger.error('the instance could not start', { error })
      await channel.send({ type: 'failed', error: CloudError.from(error).toJSON() })
      exit(1)
    }
  }
  const end = async (deadlineMs: number): Promise<void> => {
    if (ending) return
    ending = true
    clock.after(deadlineMs, () => exit(1))
    try {
      const parts = await running
      if (parts !== undefined) await close(parts, clock, Math.floor(deadlineMs * 0.9))
      exit(0)
    } catch (error) {
      logger.error('the instance did not end cleanly', { error })
      exit(1)
    }
  }
  channel.onGone(() => void end(orphanDeadlineMs))
  channel.onMessage(message => {
    if (message.type === 'start') void start(message.options)
    // Whoever changed the packages wants to know soon how they do.
    else if (message.type === 'cloudware') void setCloudware(message.packages).then(() => answer(0))
    else if (message.type === 'check') void answer(message.id)
    else if (message.type === 'metrics') void tell(message.id)
    else if (message.type === 'credential')
      void running?.then(parts => parts.bus.renew(message.credential)).catch(() => undefined)
    else void end(message.deadlineMs)
  })
}

async function open(options: InstanceRunnerOptions, wanted: InstanceOptions): Promise<Running> {
  const { clock, ids, logger } = options
  const { packageDir, dataDir, databaseUrl, config, instanceId, version, publicUrl, busPrefix } = wanted
  const [loaded, bus] = await Promise.all([
    loadProgram(packageDir, wanted.entry),
    options.openBus(wanted, channelSpool(options.channel)),
  ])
  const registry = metricRegistry()
  processMetrics(registry)
  const hooks = options.createHookHost()
  const program = await loaded.start({
    packageDir,
    dataDir,
    databaseUrl,
    config,
    instanceId,
    version,
    publicUrl,
    busPrefix,
    clock,
    ids,
    logger,
    bus: bus.bus,
    hooks,
    observer: callTelemetry({ registry }),
    registry,
  })
  if (program.state !== undefined) hooks.useState(program.state)
  const server = createServer(program.handler)
  // The edge keeps its connections; closing one that it is about to use would lose a request.
  server.keepAliveTimeout = 0
  server.requestTimeout = 0
  return { program, hooks, bus, server, metrics: () => [...registry.collect(), ...bus.metrics()].map(finite) }
}

/** Messages between processes have no numbers beyond the finite ones; a gauge may. */
function finite(family: CollectedFamily): CollectedFamily {
  return { ...family, samples: family.samples.filter(({ value }) => Number.isFinite(value)) }
}

/** Hands readings to the host, which keeps them until control has them. */
function channelSpool(channel: InstanceRunnerOptions['channel']): ReadingSpool {
  let unsent: Reading[] = []
  return {
    get unsent() {
      return unsent.length
    },
    put: reading => void unsent.push(reading),
    async flush() {
      const readings = unsent
      unsent = []
      if (readings.length > 0) await channel.send({ type: 'readings', readings })
      return true
    },
  }
}

/** Tries until the program is healthy. There is no deadline here: the host has one, and ends the process. */
async function untilHealthy(program: RunningProgram, clock: Clock, logger: Logger): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await program.health()
      return
    } catch (error) {
      if (attempt === 1) logger.warn('not healthy yet', { error })
      await sleep(clock, healthRetryMs)
    }
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ path }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

async function check(options: InstanceRunnerOptions, running: Promise<Running> | undefined): Promise<InstanceCheck> {
  try {
    const parts = await running
    if (parts === undefined) return { problem: 'not started', ...options.usage(), cloudware: [] }
    const problem = await parts.program.health().then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    )
    return { ...(problem === undefined ? {} : { problem }), ...options.usage(), cloudware: parts.hooks.status() }
  } catch (error) {
    return { problem: String(error), ...options.usage(), cloudware: [] }
  }
}

/** Stops accepting, finishes what is in flight, then closes in reverse order of opening. */
async function close({ program, hooks, bus, server }: Running, clock: Clock, deadlineMs: number): Promise<void> {
  const abort = new AbortController()
  const cancel = clock.after(deadlineMs, () => abort.abort(new Error('drain deadline')))
  const closed = new Promise<void>(resolve => server.close(() => resolve()))
  server.closeIdleConnections()
  // A request that is still running keeps its connection; it is closed with it, or by force at the deadline.
  abort.signal.addEventListener('abort', () => server.closeAllConnections())
  await closed
  await program.drain(abort.signal)
  await hooks[Symbol.asyncDispose]()
  await bus.bus.drain()
  await program[Symbol.asyncDispose]()
  await bus[Symbol.asyncDispose]()
  cancel()
}
