import { mkdirSync, rmSync } from 'node:fs'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { defaultTenantLimits, listenBus, type QuotaDesk, quotaDesk, type TenantLimits } from '@aaas/core-cloud/bus'
import { unpackPackage, verifyPackage } from '@aaas/core-cloud/cloudware'
import {
  createMeter,
  type Meter,
  openReadingSpool,
  processUsageReader,
  type Reading,
  type ReadingSpool,
} from '@aaas/core-cloud/metering'
import { createMetricsStore, fileLogStore, type LogStore } from '@aaas/core-cloud/monitor'
import { listenMetrics } from '@aaas/core-cloud/telemetry'
import type { Clock } from '../kernel/clock.js'
import { CloudError } from '../kernel/errors.js'
import type { Ids } from '../kernel/ids.js'
import { Lifecycle } from '../kernel/lifecycle.js'
import type { Logger } from '../kernel/logger.js'
import type { RouteTable } from '../load-balancer/route-table.js'
import { type Admissions, createAdmissions, identityOf } from './admissions.js'
import { type ControlLink, dialControl } from './control-link.js'
import type { DesiredState } from './desired-state.js'
import { createDirectIssuer, type DirectIssuer } from './direct-issuer.js'
import { startEdgeSampler, type TrafficSource, trafficOf } from './edge-sampler.js'
import { HostAgent } from './host-agent.js'
import { hostAgentHandlers } from './host-agent-service.js'
import { openHostMemory } from './host-memory.js'
import { hostMetrics } from './host-metrics.js'
import { createInstanceDesk, type InstanceDesk } from './instance-desk.js'
import { runReleaseStep, startInstance } from './instance-process.js'
import { createPackageCache } from './package-cache.js'
import { installedPlatformPackages, linkPlatformPackages } from './package-links.js'
import { directSocketPath, instanceSocketPath, type SiteRunnerPorts } from './site-runner.js'

/** The load balancer as the host uses it. */
export interface HostEdge extends TrafficSource, AsyncDisposable {
  readonly port: number
  setRoutes(table: RouteTable): void
  /** Resolves when no request runs at the upstream; at once for one it does not know. */
  drained(upstreamId: string, signal?: AbortSignal): Promise<void>
}

export interface HostOptions {
  /** Data folder of the platform; the host's own is `host` in it. */
  readonly home: string
  /** Lower-case letters, digits, dashes; at most 40 characters. */
  readonly hostId: string
  /** Unix socket of control's hub; it may appear later, and go away. */
  readonly controlSocket: string
  readonly controlToken: string
  readonly edgePort: number
  /** Folder of the host's sockets; default that of `controlSocket`. */
  readonly runDir?: string
  /** Under which third parties reach the edge; default `http://127.0.0.1:<port of the edge>`. No trailing slash. */
  readonly publicBaseUrl?: string
  /** Environment of child processes. */
  readonly environment: NodeJS.ProcessEnv
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  readonly createEdge: (options: { port: number; clock: Clock; ids: Ids; logger: Logger }) => Promise<HostEdge>
  /** What a tenant may use of the hub, and of each service it calls directly; default {@link defaultTenantLimits}. */
  readonly tenantLimits?: TenantLimits
  /** Serves `/metrics` on 127.0.0.1 to whom presents it as a bearer token; absent: not at all. */
  readonly metricsToken?: string
  /** Default 0: a free port. */
  readonly metricsPort?: number
  /** Milliseconds a release step may take; default 300_000. */
  readonly releaseDeadlineMs?: number
  /** Milliseconds the stop of all instances may take; default 8_000. */
  readonly stopDeadlineMs?: number
}

/** A running host. Disposing it ends every instance, closes the edge and removes the sockets. */
export interface HostHandle extends AsyncDisposable {
  readonly edgePort: number
  /** Undefined when the metrics are not served. */
  readonly metricsPort: number | undefined
  readonly agent: Pick<HostAgent, 'observe' | 'instances' | 'pull'>
}

const defaultMemoryMb = 512

/**
 * Starts the host of one machine: hub, edge, logs, meter and agent. Resolves when the edge listens and the sites of the
 * last good copy are being started; control need not be there.
 * @throws CloudError `core.deploy.port-in-use`, `core.deploy.already-running`, `core.kernel.not-writable`,
 *   `core.kernel.invalid-config` (a damaged `desired.json`).
 */
export async function startHost(options: HostOptions): Promise<HostHandle> {
  const { clock } = options
  const lifecycle = new Lifecycle({ clock, deadlineMs: 20_000 })
  try {
    return await open(options, lifecycle)
  } catch (error) {
    await lifecycle.stop().catch(() => undefined)
    throw error
  }
}

async function open(options: HostOptions, lifecycle: Lifecycle): Promise<HostHandle> {
  const { clock, ids, hostId } = options
  const logger = options.logger.child({ component: 'host' })
  const folders = await prepareFolders(options)
  const memory = await openHostMemory({ dir: folders.host, logger })
  const admissions = createAdmissions(ids)
  const busSocket = join(folders.run, 'host.sock')
  const sending = readingsTo(() => control.client, options)
  const spool = await openReadingSpool({ path: join(folders.host, 'readings.json'), send: sending.send, logger })
  // Disposed twice: here when the start fails, and for the last readings while there is a way to control.
  const quotas = lifecycle.use('quotas', openQuotas(options, spool))
  const authenticate = (token: string) => admissions.authenticate(token)
  const hub = lifecycle.use(
    'hub',
    await listenBus({ socketPath: busSocket, clock, logger, authenticate, quota: quotas }),
  )
  await removeStaleSockets(folders.run)
  const logs = lifecycle.use('logs', fileLogStore({ dir: join(folders.host, 'logs'), clock }))
  const control = lifecycle.use(
    'control',
    dialControl({ hostId, socketPath: options.controlSocket, token: options.controlToken, clock, ids, logger }),
  )
  const edge = await options.createEdge({ port: options.edgePort, clock, ids, logger: options.logger })
  const meter = createMeter({
    clock,
    ids,
    spool,
    usageOf: processUsageReader({ clock }),
    trafficOf: instance => trafficOf(edge, instance),
  })
  const metrics = createMetricsStore({ clock })
  const trust: { keys: DesiredState['trust'] } = { keys: memory.desired?.trust ?? {} }
  const instances = createInstanceDesk({ spool, logger })
  const direct = createDirectIssuer({ cluster: hostId, clock, renewed: (one, text) => instances.renew(one, text) })
  const parts = { folders, admissions, busSocket, logs, control, edge, meter, trust, instances, direct, logger }
  const ports = runnerPorts(options, parts)
  const agent = new HostAgent({
    hostId,
    edgePort: edge.port,
    clock,
    logger,
    memory,
    control: control.client,
    setRoutes: table => edge.setRoutes(table),
    trust,
    ports,
  })
  const sampler = startEdgeSampler({ edge, metrics, siteOf: instance => admissions.siteOf(instance), clock })
  // Stopped in reverse: no more requests, then the instances, then their last readings, then the way to control.
  lifecycle.use('meter', meter)
  lifecycle.use('readings of the hub', quotas)
  lifecycle.add({ name: 'direct path', dispose: async () => direct[Symbol.dispose]() })
  lifecycle.add({ name: 'agent', dispose: () => agent.stop(options.stopDeadlineMs ?? 8_000) })
  lifecycle.use('edge', edge)
  lifecycle.add({ name: 'sampler', dispose: async () => sampler[Symbol.dispose]() })
  const bus = hub.bus({ name: hostId, kind: 'host', publish: ['>'], subscribe: ['>'] })
  control.serve(hostAgentHandlers({ agent, bus, logs, metrics, clock, ids }), () => agent.pull())
  const metricsPort = await serveMetrics(options, lifecycle, hostMetrics({ edge, hub, quotas, instances }))
  agent.start()
  logger.info('host started', { edgePort: edge.port, sites: memory.desired?.sites.length ?? 0 })
  return {
    edgePort: edge.port,
    metricsPort,
    agent,
    [Symbol.asyncDispose]() {
      sending.hurry()
      return lifecycle.stop()
    },
  }
}

/** Milliseconds that a host which stops waits for control to take its last readings. */
const lastReadingsMs = 500

/** The way of readings to control. Who hurries does not wait for a control that has gone: what is not sent stays on the disk. */
function readingsTo(
  client: () => ControlLink['client'],
  { hostId, clock }: Pick<HostOptions, 'hostId' | 'clock'>,
): { send(readings: Reading[]): Promise<void>; hurry(): void } {
  let hurried = false
  let gone = false
  return {
    async send(readings) {
      if (gone) throw new CloudError('core.bus.disconnected', 'control has gone')
      try {
        await client().readings({ hostId, readings }, hurried ? { deadline: clock.now() + lastReadingsMs } : {})
      } catch (error) {
        gone = hurried
        throw error
      }
    },
    hurry() {
      hurried = true
    },
  }
}

interface Parts {
  readonly folders: Folders
  readonly admissions: Admissions
  readonly busSocket: string
  readonly logs: LogStore
  readonly control: ControlLink
  readonly edge: HostEdge
  readonly meter: Meter
  readonly trust: { readonly keys: DesiredState['trust'] }
  readonly instances: InstanceDesk
  readonly direct: DirectIssuer
  readonly logger: Logger
}

/** Counts and limits what sites and services send over the hub; the readings go where those of their processes go. */
function openQuotas(options: HostOptions, spool: ReadingSpool): QuotaDesk {
  const { hostId, clock, ids, tenantLimits = defaultTenantLimits } = options
  return quotaDesk({
    source: `${hostId}.hub`,
    limitsOf: () => tenantLimits,
    tenantOf: ({ kind, name }) => (kind === 'site' || kind === 'service' ? name : undefined),
    clock,
    ids,
    spool,
  })
}

/** @returns the port; undefined when nobody may see them. */
async function serveMetrics(
  { metricsToken, metricsPort = 0, logger }: HostOptions,
  lifecycle: Lifecycle,
  collect: Parameters<typeof listenMetrics>[0]['collect'],
): Promise<number | undefined> {
  if (metricsToken === undefined) return undefined
  const server = await listenMetrics({ port: metricsPort, token: metricsToken, collect, logger })
  lifecycle.use('metrics', server)
  return server.port
}

/** Gives the runners of the sites what they need of this host. */
function runnerPorts(
  options: HostOptions,
  parts: Parts,
): Omit<SiteRunnerPorts, 'routesChanged' | 'memoryChanged' | 'stateChanged' | 'removed'> {
  const { clock, ids, environment } = options
  const { folders, admissions, busSocket, logs, control, edge, meter, instances, direct, logger } = parts
  const { tenantLimits = defaultTenantLimits } = options
  const baseUrl = options.publicBaseUrl ?? `http://127.0.0.1:${edge.port}`
  const capture = (site: string, instance: string) => (line: string, stream: 'stdout' | 'stderr') =>
    logs.append(site, instance, line, stream)
  const packages = createPackageCache({
    dir: folders.packages,
    readChunk: input => control.client.packageChunk(input),
    verify: (tarball, signature) => verifyPackage({ tarball, signature, trust: parts.trust.keys }),
    unpack: (tarball, dir) => unpackPackage({ tarball, dir }),
  })
  return {
    clock,
    ids,
    logger,
    packages,
    dataDirOf: site => makeFolder(join(folders.host, 'sites', site)),
    publicUrlOf: site => `${baseUrl}/s/${site}`,
    socketPathOf: instance => instanceSocketPath(folders.run, instance),
    admit: (instance, site) => ({
      busSocket,
      busToken: admissions.admit(instance, site),
      direct: {
        ...direct.admit(instance, identityOf(site)),
        socketPath: directSocketPath(folders.run, instance),
        ...(site.kind === 'service' ? { tenantLimits } : {}),
      },
    }),
    startInstance(instance, { site, ...events }) {
      const { instanceId } = instance
      const started = startInstance(instance, {
        clock,
        environment,
        memoryMb: site.memoryMb ?? defaultMemoryMb,
        onLine: capture(site.site, instanceId),
        onReadings: readings => instances.readings(instanceId, readings),
        ...events,
      })
      instances.add(instanceId, site, started)
      return started
    },
    runRelease: (program, site, signal) => {
      const name = `release-v${site.version}`
      const step = runReleaseStep(program, {
        clock,
        environment,
        deadlineMs: options.releaseDeadlineMs ?? 300_000,
        signal,
        onLine: capture(site.site, name),
      })
      return step.finally(() => logs.close(site.site, name))
    },
    drained: (instance, signal) => edge.drained(instance, signal),
    metered: meter,
    ended(site, instance) {
      meter.close(instance)
      admissions.revoke(instance)
      direct.revoke(instance)
      instances.remove(instance)
      // A killed process cannot remove its sockets.
      for (const path of [instanceSocketPath, directSocketPath]) rmSync(path(folders.run, instance), { force: true })
      void logs.close(site, instance).catch((error: unknown) => logger.warn('a log could not be closed', { error }))
    },
  }
}

interface Folders {
  readonly host: string
  readonly packages: string
  readonly run: string
}

async function prepareFolders(options: HostOptions): Promise<Folders> {
  const host = join(options.home, 'host')
  const folders = { host, packages: join(host, 'packages'), run: options.runDir ?? dirname(options.controlSocket) }
  try {
    for (const folder of [folders.host, folders.packages, folders.run])
      await mkdir(folder, { recursive: true, mode: 0o700 })
    await linkPlatformPackages(folders.packages, installedPlatformPackages())
  } catch (cause) {
    throw new CloudError('core.kernel.not-writable', `the host cannot write below ${options.home}`, { cause })
  }
  return folders
}

/** What instances of a killed host left behind. Called when this host has the hub's socket, so none of them is in use. */
async function removeStaleSockets(runDir: string): Promise<void> {
  for (const name of await readdir(runDir)) {
    if (/^[id]-[A-Za-z0-9-]+\.sock$/.test(name)) await rm(join(runDir, name), { force: true })
  }
}

function makeFolder(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  return path
}
