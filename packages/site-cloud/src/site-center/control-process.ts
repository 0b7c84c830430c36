import { timingSafeEqual } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { type BusIdentity, listenBus } from '@aaas/core-cloud/bus'
import { type PackageSignature, verifyPackage } from '@aaas/core-cloud/cloudware'
import { busClient, type CallObserver, httpHandler, httpService, serveContract } from '@aaas/core-cloud/contract'
import {
  controlPlaneContract,
  controlPrefix,
  desiredChangedSubject,
  hostAgentContract,
  hostPrefix,
} from '@aaas/core-cloud/deploy'
import { type Actor, type Clock, CloudError, type Ids, Lifecycle, type Logger } from '@aaas/core-cloud/kernel'
import { callTelemetry, type MetricRegistry, metricRegistry, processMetrics } from '@aaas/core-cloud/telemetry'
import {
  createDatabase,
  type Database,
  ensureTemplate,
  migrate,
  pgDatabase,
  provisionDatabase,
} from '@aaas/support-cloud/rdbms'
import { getRequestListener } from '@hono/node-server'
import { type AuditEntry, createConsole } from '../console/index.js'
import { shopMigrations } from '../shop/index.js'
import { controlMetrics } from './control-metrics.js'
import { controlMigrations } from './control-migrations.js'
import { ControlPlane } from './control-plane.js'
import { inspectSitePackage } from './inspect-site-package.js'
import { filePackageStore } from './package-store.js'
import { platformVersion } from './platform-version.js'
import { SiteCenter } from './site-center.js'
import { siteCenterContract } from './site-center-contract.js'
import { writeAudit } from './site-store.js'

export interface ControlOptions {
  /** Administrator's connection string of the database server. */
  readonly adminUrl: string
  readonly controlSocket: string
  readonly packagesDir: string
  /** 0 takes a free port. */
  readonly consolePort: number
  readonly hostId: string
  /** What the host agent presents to the hub. */
  readonly agentToken: string
  /** What the command line presents to the API. */
  readonly cliToken: string
  /** What presents itself with it may read `/metrics`, and nothing else; absent: nobody may. */
  readonly metricsToken?: string
  /** Password of the first console user `admin`; used once. */
  readonly adminPassword: string
  /** Public keys by publisher. */
  readonly trust: Readonly<Record<string, string>>
}

export interface ControlHandle extends AsyncDisposable {
  readonly consolePort: number
}

interface Ports {
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
}

/** Starts the control process: site centre, console, package store. Sites go on without it. */
export async function startControl(options: ControlOptions & Ports): Promise<ControlHandle> {
  const { clock, ids, logger } = options
  const lifecycle = new Lifecycle({ clock })
  const registry = metricRegistry()
  processMetrics(registry)
  const observer = callTelemetry({ registry })
  const database = lifecycle.use('database', await controlDatabase(options.adminUrl))

  const hub = lifecycle.use(
    'hub',
    await listenBus({
      socketPath: options.controlSocket,
      clock,
      logger,
      authenticate: token => (sameText(token, options.agentToken) ? hostIdentity(options.hostId) : undefined),
    }),
  )
  const bus = hub.bus({ name: 'control', kind: 'control', publish: ['host.>', 'control.>'], subscribe: ['control.>'] })
  const host = busClient({ bus, contract: hostAgentContract, prefix: hostPrefix(options.hostId), clock, ids, observer })
  const packages = await filePackageStore(options.packagesDir)
  const center = new SiteCenter({
    database,
    packages,
    engine: platformVersion,
    verify: (tarball, signature) =>
      verifyPackage({ tarball, signature: signature as PackageSignature, trust: options.trust }),
    inspect: inspectSitePackage,
    provision: (site, kind) => provisionSite(options.adminUrl, ids, site, kind),
    changed: () => {
      bus
        .publish(desiredChangedSubject, new Uint8Array(0))
        .catch((error: unknown) => logger.warn('no hint sent', { error }))
    },
    host: () => (hub.connections().some(connection => connection.kind === 'host') ? host : undefined),
    domain: 'localhost',
  })
  const plane = new ControlPlane({ database, packages, center, trust: options.trust, adminUrl: options.adminUrl })
  const served = await serveContract({
    bus,
    contract: controlPlaneContract,
    handlers: plane,
    prefix: controlPrefix,
    clock,
    logger,
    observer,
  })
  lifecycle.add({
    name: 'control plane',
    drain: () => served.drain(),
    dispose: async () => served[Symbol.asyncDispose](),
  })

  const server = await listen(options.consolePort, await webOf(options, { database, center, registry, observer }))
  lifecycle.add({ name: 'console', dispose: () => closeServer(server) })
  const address = server.address()
  return {
    consolePort: typeof address === 'object' && address !== null ? address.port : options.consolePort,
    [Symbol.asyncDispose]: () => lifecycle.stop(),
  }
}

/** The API for the command line and pipelines below `/api`, the metrics, the console for people everywhere else. */
async function webOf(
  options: Pick<ControlOptions, 'cliToken' | 'adminPassword' | 'metricsToken'> & Ports,
  parts: {
    readonly database: Database
    readonly center: SiteCenter
    readonly registry: MetricRegistry
    readonly observer: CallObserver
  },
): Promise<(request: Request) => Promise<Response>> {
  const { clock, ids, logger, adminPassword, cliToken } = options
  const { database, center, registry, observer } = parts
  const api = httpHandler({
    services: [httpService(siteCenterContract, center)],
    basePath: '/api',
    rpc: true,
    authenticate: async request => cliActor(request, cliToken),
    clock,
    ids,
    logger,
    maxBodyBytes: 100_000_000,
    observer,
  })
  const audit = (entry: AuditEntry): Promise<void> => writeAudit(database, entry)
  const site = await createConsole({ database, center, adminPassword, audit, clock, ids, logger })
  const metrics = controlMetrics({ registry, token: options.metricsToken, logger })
  return async request => (await api(request)) ?? (await metrics(request)) ?? site.fetch(request)
}

function hostIdentity(hostId: string): BusIdentity {
  return { name: hostId, kind: 'host', publish: ['control.>'], subscribe: [`host.${hostId}.>`, desiredChangedSubject] }
}

/** Control's own database on the server, made and migrated when needed. */
async function controlDatabase(adminUrl: string): Promise<Database> {
  const name = 'aaas_control'
  const admin = pgDatabase({ url: adminUrl, maxConnections: 1 })
  await createDatabase({ admin, name })
  await admin[Symbol.asyncDispose]()
  const url = new URL(adminUrl)
  url.pathname = `/${name}`
  const database = pgDatabase({ url: url.href, maxConnections: 6 })
  await migrate(database, [controlMigrations])
  return database
}

/** A shop's database is cloned from a template database, which takes milliseconds; services start from an empty one. */
async function provisionSite(adminUrl: string, ids: Ids, site: string, kind: 'site' | 'service'): Promise<string> {
  const name = `${kind}_${site.replaceAll('-', '_')}`
  if (kind === 'service') return (await provisionDatabase({ adminUrl, ids, name })).url
  const template = 'aaas_template_shop'
  await ensureTemplate({ adminUrl, name: template, migrations: shopMigrations })
  return (await provisionDatabase({ adminUrl, ids, name, template })).url
}

function cliActor(request: Request, token: string): Actor | undefined {
  const header = request.headers.get('authorization')
  if (header === null || !header.startsWith('Bearer ')) return undefined
  return sameText(header.slice(7), token) ? { id: 'cli', scopes: ['*'] } : undefined
}

function sameText(left: string, right: string): boolean {
  const a = Buffer.from(left)
  const b = Buffer.from(right)
  return a.length === b.length && timingSafeEqual(a, b)
}

function listen(port: number, fetch: (request: Request) => Promise<Response>): Promise<Server> {
  const server = createServer(getRequestListener(fetch, { overrideGlobalObjects: false }))
  server.headersTimeout = 10_000
  server.requestTimeout = 120_000
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE'
          ? new CloudError('core.deploy.port-in-use', `port ${port} is in use; set AAAS_CONSOLE_PORT to another`, {
              field: 'AAAS_CONSOLE_PORT',
              cause: error,
            })
          : error,
      )
    })
    server.listen(port, '127.0.0.1', () => resolve(server))
  })
}

function closeServer(server: Server): Promise<void> {
  return new Promise(resolve => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
