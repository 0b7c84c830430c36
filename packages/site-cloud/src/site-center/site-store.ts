import type { PackageJson, SiteLock } from '@aaas/core-cloud/cloudware'
import type { ObservedSite } from '@aaas/core-cloud/deploy'
import type { Queryable } from '@aaas/support-cloud/rdbms'
import type { CapacityPlan } from '../template/index.js'

export interface PackageRow {
  readonly digest: string
  readonly name: string
  readonly version: string
  readonly kind: 'site' | 'service' | 'cloudware'
  readonly publisher: string
  readonly packageJson: PackageJson
  readonly signature: unknown
  readonly bytes: number
  readonly uploadedAt: number
}

export interface SiteRow {
  readonly name: string
  readonly kind: 'site' | 'service'
  readonly hostNames: readonly string[]
  readonly databaseUrl: string
  readonly config: unknown
  readonly version: number
  readonly instances: number
  readonly concurrency: number
  readonly memoryMb: number
  readonly maintenance: boolean
  readonly restart: number
  readonly generation: number
  readonly performance: { readonly ordersPerMinute: number; readonly p99Ms: number } | null
  /** Packages of the wanted version and the cloudware on it, as they were last resolved. */
  readonly lock: SiteLock | null
}

export interface VersionRow {
  readonly site: string
  readonly version: number
  readonly digest: string
  readonly config: unknown
  readonly plan: CapacityPlan | null
  /** What site.json asks for besides the site's own name; null for versions of older platforms. */
  readonly hostNames: readonly string[] | null
  readonly state: 'pushed' | 'deployed' | 'failed'
  readonly failure: string | null
  readonly pushedAt: number
  readonly pushedBy: string
  readonly deployedAt: number | null
}

export interface CloudwareRow {
  readonly site: string
  readonly name: string
  readonly digest: string
  readonly config: unknown
}

const packageColumns = `digest, name, version, kind, publisher, package_json as "packageJson", signature, bytes,
  (extract(epoch from uploaded_at) * 1000)::bigint as "uploadedAt"`
const siteColumns = `name, kind, host_names as "hostNames", database_url as "databaseUrl", config, version, instances,
  concurrency, memory_mb as "memoryMb", maintenance, restart, generation, performance, lock`
const versionColumns = `site, version, digest, config, plan, host_names as "hostNames", state, failure, pushed_by as "pushedBy",
  (extract(epoch from pushed_at) * 1000)::bigint as "pushedAt", (extract(epoch from deployed_at) * 1000)::bigint as "deployedAt"`

export async function packageByDigest(db: Queryable, digest: string): Promise<PackageRow | undefined> {
  const rows = await db.query<PackageRow>({
    text: `select ${packageColumns} from package where digest = $1`,
    values: [digest],
  })
  return rows[0]
}

/** Packages by digest; digests that are not stored are left out. */
export async function packagesByDigest(
  db: Queryable,
  digests: readonly string[],
): Promise<ReadonlyMap<string, PackageRow>> {
  const rows = await db.query<PackageRow>({
    text: `select ${packageColumns} from package where digest = any($1)`,
    values: [digests],
  })
  return new Map(rows.map(row => [row.digest, row]))
}

/** Stored packages, newest first; the newest 500. */
export function allPackages(db: Queryable): Promise<readonly PackageRow[]> {
  return db.query<PackageRow>({
    text: `select ${packageColumns} from package order by uploaded_at desc, digest limit 500`,
  })
}

export async function insertPackage(db: Queryable, row: Omit<PackageRow, 'uploadedAt'>): Promise<void> {
  await db.query({
    text: `insert into package(digest, name, version, kind, publisher, package_json, signature, bytes)
      values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (digest) do nothing`,
    values: [
      row.digest,
      row.name,
      row.version,
      row.kind,
      row.publisher,
      JSON.stringify(row.packageJson),
      JSON.stringify(row.signature),
      row.bytes,
    ],
  })
}

export function allSites(db: Queryable): Promise<readonly SiteRow[]> {
  return db.query<SiteRow>({ text: `select ${siteColumns} from site order by kind, name` })
}

/** @param lock - `lock` inside a transaction that will change the site. */
export async function siteByName(db: Queryable, name: string, lock: 'lock' | 'read'): Promise<SiteRow | undefined> {
  const rows = await db.query<SiteRow>({
    text: `select ${siteColumns} from site where name = $1${lock === 'lock' ? ' for update' : ''}`,
    values: [name],
  })
  return rows[0]
}

export function versionsOf(db: Queryable, site: string): Promise<readonly VersionRow[]> {
  return db.query<VersionRow>({
    text: `select ${versionColumns} from site_version where site = $1 order by version desc limit 200`,
    values: [site],
  })
}

export async function versionOf(db: Queryable, site: string, version: number): Promise<VersionRow | undefined> {
  const rows = await db.query<VersionRow>({
    text: `select ${versionColumns} from site_version where site = $1 and version = $2`,
    values: [site, version],
  })
  return rows[0]
}

/** True when a version was pushed with this configuration; the database compares values, not spellings. */
export async function hasConfig(db: Queryable, row: VersionRow, config: string): Promise<boolean> {
  const rows = await db.query<{ same: boolean }>({
    text: 'select config = $3::jsonb as same from site_version where site = $1 and version = $2',
    values: [row.site, row.version, config],
  })
  return rows[0]?.same === true
}

export function cloudwareRows(db: Queryable): Promise<readonly CloudwareRow[]> {
  return db.query<CloudwareRow>({ text: 'select site, name, digest, config from site_cloudware order by site, name' })
}

/**
 * Takes the next generation; every change of what is wanted has its own. Inside the transaction of the change, which
 * holds a lock from here to its end: generations become visible in their order, so that a host that has seen one has
 * seen all before it.
 */
export async function nextGeneration(db: Queryable): Promise<number> {
  await db.query({ text: 'select pg_advisory_xact_lock(4160, 1)' })
  const rows = await db.query<{ generation: number }>({ text: `select nextval('desired_generation') as generation` })
  const generation = rows[0]?.generation
  if (generation === undefined) throw new Error('the sequence gave nothing')
  return generation
}

export async function writeAudit(
  db: Queryable,
  entry: { readonly actor: string; readonly action: string; readonly site: string; readonly detail: string },
): Promise<void> {
  await db.query({
    text: 'insert into audit(actor, action, site, detail) values ($1, $2, $3, $4)',
    values: [entry.actor, entry.action, entry.site, entry.detail],
  })
}

export async function saveReport(
  db: Queryable,
  report: { readonly hostId: string; readonly sites: readonly ObservedSite[]; readonly edgePort: number },
): Promise<void> {
  await db.query({
    // The host's own clock may differ from ours: the time of arrival says whether it is alive.
    text: `insert into host_report(host_id, sites, edge_port, at) values ($1, $2, $3, clock_timestamp())
      on conflict (host_id) do update set sites = excluded.sites, edge_port = excluded.edge_port, at = excluded.at`,
    values: [report.hostId, JSON.stringify(report.sites), report.edgePort],
  })
}

export interface ReportRow {
  readonly hostId: string
  readonly sites: readonly ObservedSite[]
  readonly edgePort: number
  /** Epoch milliseconds at which control got it. */
  readonly at: number
  /** False when the host has been silent for longer than its reports ever take. */
  readonly fresh: boolean
}

/** Milliseconds; hosts report every ten seconds at least. */
const silentMs = 35_000

export function reports(db: Queryable): Promise<readonly ReportRow[]> {
  return db.query<ReportRow>({
    text: `select host_id as "hostId", sites, edge_port as "edgePort", (extract(epoch from at) * 1000)::bigint as at,
      at > clock_timestamp() - $1 * interval '1 ms' as fresh from host_report order by host_id`,
    values: [silentMs],
  })
}

/** Totals of a site's counters. Readings are cumulative within an epoch: its highest sequence holds the total. */
export async function usageOf(
  db: Queryable,
  site: string,
): Promise<{ counters: Record<string, number>; readings: number }> {
  const rows = await db.query<{ name: string; total: number }>({
    text: `select c.key as name, sum(c.value::bigint)::bigint as total from (
        select distinct on (source, epoch) counters from usage_reading where site = $1
        order by source, epoch, seq desc) last, jsonb_each_text(last.counters) c group by c.key order by c.key`,
    values: [site],
  })
  const count = await db.query<{ n: number }>({
    text: 'select count(*) as n from usage_reading where site = $1',
    values: [site],
  })
  return { counters: Object.fromEntries(rows.map(row => [row.name, row.total])), readings: count[0]?.n ?? 0 }
}

export interface AuditRow {
  readonly at: number
  readonly actor: string
  readonly action: string
  readonly site: string
  readonly detail: string
}

/** @param site - empty: of everything. */
export function newestAudit(db: Queryable, limit: number, site: string): Promise<readonly AuditRow[]> {
  return db.query<AuditRow>({
    text: `select (extract(epoch from at) * 1000)::bigint as at, actor, action, site, detail from audit
      where $2 = '' or site = $2 order by id desc limit $1`,
    values: [limit, site],
  })
}

export async function cloudwareOf(db: Queryable, site: string): Promise<readonly CloudwareRow[]> {
  return db.query<CloudwareRow>({
    text: 'select site, name, digest, config from site_cloudware where site = $1 order by name',
    values: [site],
  })
}
