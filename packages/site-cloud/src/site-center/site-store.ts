import type { PackageJson } from '@aaas/core-cloud/cloudware'
import type { ObservedSite } from '@aaas/core-cloud/deploy'
import type { Database, Queryable } from '@aaas/support-cloud/rdbms'
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
}

export interface VersionRow {
  readonly site: string
  readonly version: number
  readonly digest: string
  readonly config: unknown
  readonly plan: CapacityPlan | null
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
  concurrency, memory_mb as "memoryMb", maintenance, restart, generation, performance`
const versionColumns = `site, version, digest, config, plan, state, failure, pushed_by as "pushedBy",
  (extract(epoch from pushed_at) * 1000)::bigint as "pushedAt", (extract(epoch from deployed_at) * 1000)::bigint as "deployedAt"`

export async function packageByDigest(db: Queryable, digest: string): Promise<PackageRow | undefined> {
  const rows = await db.query<PackageRow>({ text: `select ${packageColumns} from package where digest = $1`, values: [digest] })
  return rows[0]
}

export function allPackages(db: Queryable): Promise<readonly PackageRow[]> {
  return db.query<PackageRow>({ text: `select ${packageColumns} from package order by uploaded_at desc, digest limit 500` })
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

/** @param lock - true inside a transaction that will change the site. */
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

/** Takes the next generation; every change of what is wanted has its own. */
export async function nextGeneration(db: Queryable): Promise<number> {
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

/** A JSON value kept under a name; `make` is called once in the life of the database. */
export async function platformSecret<T>(db: Database, name: string, make: () => T): Promise<T> {
  await db.query({
    text: 'insert into platform_secret(name, value) values ($1, $2) on conflict (name) do nothing',
    values: [name, JSON.stringify(make())],
  })
  const rows = await db.query<{ value: T }>({ text: 'select value from platform_secret where name = $1', values: [name] })
  const row = rows[0]
  if (row === undefined) throw new Error(`no secret ${name}`)
  return row.value
}

export async function saveReport(
  db: Queryable,
  report: { readonly hostId: string; readonly sites: readonly ObservedSite[]; readonly edgePort: number; readonly at: number },
): Promise<void> {
  await db.query({
    text: `insert into host_report(host_id, sites, edge_port, at) values ($1, $2, $3, to_timestamp($4 / 1000.0))
      on conflict (host_id) do update set sites = excluded.sites, edge_port = excluded.edge_port, at = excluded.at`,
    values: [report.hostId, JSON.stringify(report.sites), report.edgePort, report.at],
  })
}

export interface ReportRow {
  readonly hostId: string
  readonly sites: readonly ObservedSite[]
  readonly edgePort: number
  readonly at: number
}

export function reports(db: Queryable): Promise<readonly ReportRow[]> {
  return db.query<ReportRow>({
    text: `select host_id as "hostId", sites, edge_port as "edgePort", (extract(epoch from at) * 1000)::bigint as at
      from host_report order by host_id`,
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

export function newestAudit(db: Queryable, limit: number): Promise<readonly AuditRow[]> {
  return db.query<AuditRow>({
    text: `select (extract(epoch from at) * 1000)::bigint as at, actor, action, site, detail from audit
      order by id desc limit $1`,
    values: [limit],
  })
}
