import { defineContract } from '@aaas/core-cloud/contract'
import { type Static, Type } from 'typebox'

const SiteName = Type.String({ pattern: '^[a-z][a-z0-9-]{0,39}$' })
const strict = { additionalProperties: false } as const
const bySite = Type.Object({ site: SiteName }, strict)
const version = Type.Integer({ minimum: 1 })

export const SiteVersion = Type.Object({
  version,
  package: Type.Object({ name: Type.String(), version: Type.String(), digest: Type.String() }),
  template: Type.Optional(Type.Object({ name: Type.String(), version: Type.String() })),
  dataLevel: Type.Integer(),
  /** Epoch milliseconds. */
  pushedAt: Type.Integer(),
  pushedBy: Type.String(),
  state: Type.Union([Type.Literal('pushed'), Type.Literal('deployed'), Type.Literal('failed')]),
  failure: Type.Optional(Type.String()),
})
export type SiteVersion = Static<typeof SiteVersion>

export const SiteInstance = Type.Object({
  id: Type.String(),
  version: Type.Integer(),
  state: Type.String(),
  pid: Type.Optional(Type.Integer()),
  startedAt: Type.Optional(Type.Integer()),
  restarts: Type.Integer(),
  memoryBytes: Type.Optional(Type.Integer()),
  cpuMs: Type.Optional(Type.Integer()),
})

const SiteCloudware = Type.Object({
  name: Type.String(),
  version: Type.String(),
  digest: Type.String(),
  /** False: it was taken off, or replaced by another version, and some instances still have it. */
  wanted: Type.Boolean(),
  config: Type.Unknown(),
  /** What each instance that has this version says of it. */
  instances: Type.Array(
    Type.Object({
      instance: Type.String(),
      state: Type.String(),
      calls: Type.Integer(),
      failures: Type.Integer(),
      restarts: Type.Integer(),
      lastError: Type.Optional(Type.String()),
    }),
  ),
})

/** What is wanted and what the host says, of one site. */
export const Site = Type.Object({
  site: SiteName,
  kind: Type.Union([Type.Literal('site'), Type.Literal('service')]),
  hostNames: Type.Array(Type.String()),
  /** Wanted version; 0 before the first deployment. */
  version: Type.Integer(),
  /** Version that serves now; 0 when none does. */
  servingVersion: Type.Integer(),
  /** pending, fetching, releasing, rolling, live, failed, removed, or unknown when no host reports. */
  phase: Type.String(),
  /** True when the host has carried out everything that is wanted. */
  settled: Type.Boolean(),
  failure: Type.Optional(Type.Object({ version: Type.Integer(), step: Type.String(), reason: Type.String() })),
  instances: Type.Array(SiteInstance),
  wantedInstances: Type.Integer(),
  concurrency: Type.Integer(),
  maintenance: Type.Boolean(),
  cloudware: Type.Array(SiteCloudware),
  extensionPoints: Type.Array(Type.String()),
  performance: Type.Optional(Type.Object({ ordersPerMinute: Type.Number(), p99Ms: Type.Number() })),
  /** Where people reach it. */
  urls: Type.Array(Type.String()),
  /** The one version of each package that the site runs: its program and its cloudware; absent before the first deployment. */
  lock: Type.Optional(
    Type.Array(
      Type.Object({ name: Type.String(), version: Type.String(), digest: Type.String(), kind: Type.String() }),
    ),
  ),
  /** Epoch milliseconds at which control heard of it last; absent when no host ever reported it. */
  reportedAt: Type.Optional(Type.Integer()),
})
export type Site = Static<typeof Site>

export const StoredPackage = Type.Object({
  name: Type.String(),
  version: Type.String(),
  digest: Type.String(),
  kind: Type.String(),
  publisher: Type.String(),
  description: Type.Optional(Type.String()),
  extensionPoints: Type.Array(Type.String()),
  hooks: Type.Array(Type.String()),
  bytes: Type.Integer(),
  uploadedAt: Type.Integer(),
})
export type StoredPackage = Static<typeof StoredPackage>

export const LogEntry = Type.Object({
  at: Type.Integer(),
  site: Type.String(),
  instance: Type.String(),
  level: Type.String(),
  message: Type.String(),
  fields: Type.Record(Type.String(), Type.Unknown()),
})

const siteCall = Type.Object(
  {
    site: SiteName,
    contract: Type.String({ minLength: 1, maxLength: 100 }),
    method: Type.String({ minLength: 1, maxLength: 100 }),
    input: Type.Unknown(),
  },
  strict,
)

/** Sites and their versions, and what may be done to them. The console, the CLI and CI pipelines call it. */
export const siteCenterContract = defineContract({
  name: 'site.center',
  version: '1.0.0',
  methods: {
    uploadPackage: {
      summary: 'Stores a signed package; the same bytes twice are stored once.',
      input: Type.Object({ base64: Type.String({ maxLength: 96_000_000 }), signature: Type.Unknown() }, strict),
      output: StoredPackage,
      errors: ['core.cloudware.bad-signature', 'core.cloudware.invalid-package', 'core.cloudware.invalid-manifest'],
      scope: 'site.write',
      idempotent: true,
      deadlineMs: 60_000,
      http: { verb: 'POST', path: '/packages', status: 201 },
    },
    listPackages: {
      summary: 'Stored packages, newest first.',
      input: Type.Object({}, strict),
      output: Type.Object({ packages: Type.Array(StoredPackage) }),
      scope: 'site.read',
      idempotent: true,
      http: { verb: 'GET', path: '/packages' },
    },
    pushVersion: {
      summary:
        'Makes a stored package the next version of a site, creating the site when it is new. Pushing the newest version again changes nothing.',
      input: Type.Object(
        {
          site: SiteName,
          digest: Type.String({ pattern: '^[0-9a-f]{128}$' }),
          /** Instances and cap to deploy with; default from the capacity plan in the package. */
          config: Type.Optional(Type.Unknown()),
        },
        strict,
      ),
      output: SiteVersion,
      errors: [
        'site.center.unknown-version',
        'site.center.conflict',
        'core.cloudware.missing-requirement',
        'core.cloudware.invalid-package',
      ],
      scope: 'site.write',
      idempotent: true,
      http: { verb: 'POST', path: '/sites/:site/versions', status: 201 },
    },
    listSites: {
      summary: 'Every site and platform service.',
      input: Type.Object({}, strict),
      output: Type.Object({ sites: Type.Array(Site) }),
      scope: 'site.read',
      idempotent: true,
      http: { verb: 'GET', path: '/sites' },
    },
    getSite: {
      summary: 'One site: what is wanted and what is.',
      input: bySite,
      output: Site,
      errors: ['site.center.unknown-site'],
      scope: 'site.read',
      idempotent: true,
      http: { verb: 'GET', path: '/sites/:site' },
    },
    listVersions: {
      summary: 'Versions of a site, newest first.',
      input: bySite,
      output: Type.Object({ versions: Type.Array(SiteVersion) }),
      errors: ['site.center.unknown-site'],
      scope: 'site.read',
      idempotent: true,
      http: { verb: 'GET', path: '/sites/:site/versions' },
    },
    deploy: {
      summary:
        'Rolls a site to a version (default the newest), without a lost request; reverts by itself when it never gets healthy.',
      input: Type.Object({ site: SiteName, version: Type.Optional(version) }, strict),
      output: Site,
      errors: [
        'site.center.unknown-site',
        'site.center.unknown-version',
        'site.center.conflict',
        'core.cloudware.missing-requirement',
        'core.cloudware.conflict',
      ],
      scope: 'site.operate',
      idempotent: true,
      deadlineMs: 60_000,
      http: { verb: 'POST', path: '/sites/:site/deploy', status: 202 },
    },
    rollback: {
      summary: 'Goes back to an earlier version; default the one that served before.',
      input: Type.Object({ site: SiteName, version: Type.Optional(version) }, strict),
      output: Site,
      errors: ['site.center.unknown-site', 'site.center.unknown-version', 'site.center.conflict'],
      scope: 'site.operate',
      http: { verb: 'POST', path: '/sites/:site/rollback', status: 202 },
    },
    scale: {
      summary: 'Sets the number of instances.',
      input: Type.Object({ site: SiteName, instances: Type.Integer({ minimum: 1, maximum: 64 }) }, strict),
      output: Site,
      errors: ['site.center.unknown-site'],
      scope: 'site.operate',
      idempotent: true,
      http: { verb: 'POST', path: '/sites/:site/scale', status: 202 },
    },
    restart: {
      summary: 'Replaces every instance by a fresh one, one at a time.',
      input: bySite,
      output: Site,
      errors: ['site.center.unknown-site'],
      scope: 'site.operate',
      http: { verb: 'POST', path: '/sites/:site/restart', status: 202 },
    },
    setMaintenance: {
      summary: 'Shows the maintenance page instead of the site, or the site again.',
      input: Type.Object({ site: SiteName, on: Type.Boolean() }, strict),
      output: Site,
      errors: ['site.center.unknown-site'],
      scope: 'site.operate',
      idempotent: true,
      http: { verb: 'POST', path: '/sites/:site/maintenance', status: 202 },
    },
    addCloudware: {
      summary: 'Adds a stored cloudware package to a running site, or replaces its version or configuration.',
      input: Type.Object(
        { site: SiteName, digest: Type.String({ pattern: '^[0-9a-f]{128}$' }), config: Type.Optional(Type.Unknown()) },
        strict,
      ),
      output: Site,
      errors: [
        'site.center.unknown-site',
        'site.center.unknown-version',
        'site.center.conflict',
        'core.cloudware.missing-requirement',
        'core.cloudware.conflict',
        'core.kernel.invalid-config',
      ],
      scope: 'site.operate',
      idempotent: true,
      http: { verb: 'POST', path: '/sites/:site/cloudware', status: 202 },
    },
    removeCloudware: {
      summary: 'Takes a cloudware package off a running site.',
      input: Type.Object({ site: SiteName, name: Type.String({ maxLength: 128 }) }, strict),
      output: Site,
      errors: ['site.center.unknown-site', 'site.center.unknown-cloudware', 'core.cloudware.missing-requirement'],
      scope: 'site.operate',
      idempotent: true,
      http: { verb: 'DELETE', path: '/sites/:site/cloudware/:name' },
    },
    logs: {
      summary: 'Log lines of all instances of a site, running or gone, newest first.',
      input: Type.Object(
        {
          site: SiteName,
          instance: Type.Optional(Type.String({ maxLength: 64 })),
          text: Type.Optional(Type.String({ maxLength: 200 })),
          level: Type.Optional(
            Type.Union([Type.Literal('debug'), Type.Literal('info'), Type.Literal('warn'), Type.Literal('error')]),
          ),
          since: Type.Optional(Type.Integer()),
          before: Type.Optional(Type.Integer()),
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
        },
        strict,
      ),
      output: Type.Object({ records: Type.Array(LogEntry) }),
      errors: ['site.center.unknown-site', 'site.center.host-unavailable'],
      scope: 'site.read',
      idempotent: true,
      http: { verb: 'GET', path: '/sites/:site/logs' },
    },
    metrics: {
      summary: 'Requests, failures and latency per second of the last minutes, as the host sees them.',
      input: Type.Object({ since: Type.Optional(Type.Integer()) }, strict),
      output: Type.Unknown(),
      errors: ['site.center.host-unavailable'],
      scope: 'site.read',
      idempotent: true,
      http: { verb: 'GET', path: '/metrics' },
    },
    querySite: {
      summary:
        'Reads from a service of a site, such as business.order list; methods that change something are refused.',
      input: siteCall,
      output: Type.Object({ output: Type.Unknown() }),
      errors: ['site.center.host-unavailable', 'site.center.unknown-site', 'core.contract.forbidden'],
      scope: 'site.read',
      idempotent: true,
      deadlineMs: 60_000,
      http: { verb: 'POST', path: '/sites/:site/query' },
    },
    callSite: {
      summary:
        "Calls a service of a site, such as business.order ship, with the rights that the caller's scopes are worth there.",
      input: siteCall,
      output: Type.Object({ output: Type.Unknown() }),
      errors: ['site.center.host-unavailable', 'site.center.unknown-site', 'core.contract.forbidden'],
      scope: 'site.operate',
      deadlineMs: 60_000,
      http: { verb: 'POST', path: '/sites/:site/call' },
    },
    usage: {
      summary: 'What a site used, summed from the metering counters.',
      input: bySite,
      output: Type.Object({ counters: Type.Record(Type.String(), Type.Integer()), readings: Type.Integer() }),
      errors: ['site.center.unknown-site'],
      scope: 'site.read',
      idempotent: true,
      http: { verb: 'GET', path: '/sites/:site/usage' },
    },
    auditLog: {
      summary: 'Who did what, newest first; of one site when it is named.',
      input: Type.Object(
        { limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500 })), site: Type.Optional(SiteName) },
        strict,
      ),
      output: Type.Object({
        entries: Type.Array(
          Type.Object({
            at: Type.Integer(),
            actor: Type.String(),
            action: Type.String(),
            site: Type.String(),
            detail: Type.String(),
          }),
        ),
      }),
      scope: 'site.read',
      idempotent: true,
      http: { verb: 'GET', path: '/audit' },
    },
  },
})
