import { CloudError } from '@aaas/core-cloud/kernel'
import type { Queryable } from '@aaas/support-cloud/rdbms'
import { checkHostNames } from './open-site.js'
import { lockSite } from './site-lock.js'
import { type SiteRow, type VersionRow, versionOf } from './site-store.js'

/** Makes a version the wanted one, with the sizes of its plan, its host names and its lock. */
export async function wantVersion(
  tx: Queryable,
  options: { readonly site: SiteRow; readonly row: VersionRow; readonly engine: string },
): Promise<void> {
  const { site, row, engine } = options
  const { plan } = row
  // A person's scaling outlives a deployment; the plan speaks only when it changed or nothing was deployed yet.
  const current = site.version === 0 ? undefined : await versionOf(tx, site.name, site.version)
  const planChanged = JSON.stringify(plan?.performance) !== JSON.stringify(current?.plan?.performance)
  const size = plan !== null && planChanged ? plan : undefined
  const hostNames = row.hostNames ?? site.hostNames
  await checkHostNames(tx, site.name, hostNames)
  await lockSite(tx, { site, engine, version: row.version })
  await tx.query({
    text: `update site set version = $2, instances = coalesce($3, instances), concurrency = coalesce($4, concurrency),
      memory_mb = coalesce($5, memory_mb), performance = coalesce($6, performance), host_names = $7 where name = $1`,
    values: [
      site.name,
      row.version,
      size?.instances ?? null,
      size?.concurrency ?? null,
      size?.memoryMb ?? null,
      plan === null ? null : JSON.stringify(plan.performance),
      JSON.stringify(hostNames),
    ],
  })
  await tx.query({
    text: `update site_version set state = 'deployed', failure = null, deployed_at = clock_timestamp()
      where site = $1 and version = $2`,
    values: [site.name, row.version],
  })
}

/** The version that was deployed last before the wanted one. @throws CloudError `site.center.conflict` when there is none. */
export async function earlierVersion(tx: Queryable, site: SiteRow): Promise<number> {
  const rows = await tx.query<{ version: number }>({
    text: `select version from site_version where site = $1 and version <> $2 and deployed_at is not null and state = 'deployed'
      order by deployed_at desc limit 1`,
    values: [site.name, site.version],
  })
  const version = rows[0]?.version
  if (version === undefined)
    throw new CloudError('site.center.conflict', `${site.name} has no earlier version to go back to`)
  return version
}
