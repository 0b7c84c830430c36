import type { ObservedSite } from '@aaas/core-cloud/deploy'
import type { Site, SiteVersion, StoredPackage } from './site-center-contract.js'
import type { CloudwareRow, PackageRow, ReportRow, SiteRow, VersionRow } from './site-store.js'

export interface SiteFacts {
  readonly site: SiteRow
  readonly reports: readonly ReportRow[]
  readonly cloudware: readonly CloudwareRow[]
  readonly packages: ReadonlyMap<string, PackageRow>
  /** Package of the wanted version. */
  readonly package?: PackageRow
}

/** Puts what is wanted and what the hosts say of one site together. */
export function siteView(facts: SiteFacts): Site {
  const { site } = facts
  const observed = facts.reports.flatMap(report =>
    report.sites.filter(one => one.site === site.name).map(one => ({ one, report })),
  )
  const first = observed[0]
  const silent = observed.some(({ report }) => !report.fresh)
  const failure = observed.find(({ one }) => one.failure !== undefined)?.one.failure
  const settled =
    observed.length > 0 &&
    !silent &&
    observed.every(
      ({ one }) => one.observedGeneration >= site.generation && (one.phase === 'live' || one.phase === 'failed'),
    )
  return {
    site: site.name,
    kind: site.kind,
    hostNames: [...site.hostNames],
    version: site.version,
    servingVersion: first?.one.servingVersion ?? 0,
    phase: silent ? 'unknown' : (first?.one.phase ?? 'unknown'),
    settled,
    ...(failure === undefined ? {} : { failure: { ...failure } }),
    instances: observed.flatMap(({ one }) => one.instances.map(instance => ({ ...instance }))),
    wantedInstances: site.instances,
    concurrency: site.concurrency,
    maintenance: site.maintenance,
    cloudware: cloudwareViews(
      facts,
      observed.map(({ one }) => one),
    ),
    extensionPoints: [...(facts.package?.packageJson.aaas.extensionPoints ?? [])],
    ...(site.performance === null ? {} : { performance: { ...site.performance } }),
    urls: observed.flatMap(({ report }) => urlsOf(site, report.edgePort)),
    ...(site.lock === null ? {} : { lock: site.lock.packages.map(one => ({ ...one })) }),
    ...(first === undefined ? {} : { reportedAt: Math.min(...observed.map(({ report }) => report.at)) }),
  }
}

function urlsOf(site: SiteRow, port: number): string[] {
  return [...site.hostNames.map(name => `http://${name}:${port}/`), `http://127.0.0.1:${port}/s/${site.name}/`]
}

/** What is wanted first, then what instances still have though nobody wants it any more. */
function cloudwareViews({ cloudware, packages }: SiteFacts, observed: readonly ObservedSite[]): Site['cloudware'] {
  const wanted = new Set(cloudware.map(row => row.digest))
  const leaving = new Map(
    observed.flatMap(site =>
      site.cloudware.filter(one => !wanted.has(one.digest)).map(one => [one.digest, one] as const),
    ),
  )
  return [
    ...cloudware.map(row => ({
      name: row.name,
      version: packages.get(row.digest)?.version ?? '',
      digest: row.digest,
      wanted: true,
      config: row.config,
      instances: loadedBy(row.digest, observed),
    })),
    ...[...leaving.values()].map(({ name, version, digest }) => ({
      name,
      version,
      digest,
      wanted: false,
      config: null,
      instances: loadedBy(digest, observed),
    })),
  ]
}

function loadedBy(digest: string, observed: readonly ObservedSite[]): Site['cloudware'][number]['instances'] {
  return observed.flatMap(site =>
    site.cloudware
      .filter(one => one.digest === digest)
      .map(one => ({
        instance: one.instance,
        state: one.state,
        calls: one.calls,
        failures: one.failures,
        restarts: one.restarts,
        ...(one.lastError === undefined ? {} : { lastError: one.lastError }),
      })),
  )
}

export function storedPackage(row: PackageRow): StoredPackage {
  const { description, aaas } = row.packageJson
  return {
    name: row.name,
    version: row.version,
    digest: row.digest,
    kind: row.kind,
    publisher: row.publisher,
    ...(description === undefined ? {} : { description }),
    extensionPoints: [...(aaas.extensionPoints ?? [])],
    hooks: (aaas.hooks ?? []).map(use => use.hook),
    bytes: row.bytes,
    uploadedAt: row.uploadedAt,
  }
}

export function siteVersion(row: VersionRow, stored: PackageRow): SiteVersion {
  const { aaas } = stored.packageJson
  return {
    version: row.version,
    package: { name: stored.name, version: stored.version, digest: stored.digest },
    ...(aaas.template === undefined ? {} : { template: { ...aaas.template } }),
    dataLevel: aaas.dataLevel ?? 0,
    pushedAt: row.pushedAt,
    pushedBy: row.pushedBy,
    state: row.state,
    ...(row.failure === null ? {} : { failure: row.failure }),
  }
}
