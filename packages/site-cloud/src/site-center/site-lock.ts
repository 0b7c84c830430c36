import { type PackageCandidate, resolveLock, type SiteLock } from '@aaas/core-cloud/cloudware'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { Queryable } from '@aaas/support-cloud/rdbms'
import { allPackages, cloudwareOf, type PackageRow, packageByDigest, type SiteRow, versionOf } from './site-store.js'

/**
 * Resolves and keeps the packages of a site: its program, the cloudware on it, and nothing else. Called inside the
 * transaction of every change of either, so a set that does not fit together is never wanted of a host.
 * @param options.version - the wanted version; 0 before the first deployment, when only the cloudware can be checked.
 * @throws CloudError `core.cloudware.missing-requirement` (also when a program does not offer a hook that is in use) or
 *   `core.cloudware.conflict`.
 */
export async function lockSite(
  tx: Queryable,
  options: { readonly site: SiteRow; readonly engine: string; readonly version: number },
): Promise<void> {
  const { site, engine, version } = options
  const row = version === 0 ? undefined : await versionOf(tx, site.name, version)
  const program = row === undefined ? undefined : await packageByDigest(tx, row.digest)
  const added = await cloudwareOf(tx, site.name)
  const stored = await Promise.all(added.map(one => packageByDigest(tx, one.digest)))
  const wanted = [program, ...stored].filter(one => one !== undefined)
  const lock = resolveLock({
    site: { name: site.name, engine, wants: Object.fromEntries(wanted.map(row => [row.name, row.version])) },
    candidates: [...wanted.map(candidateOf), ...(await requiredBy(tx, wanted))],
  })
  const extra = lock.packages.find(one => !wanted.some(row => row.name === one.name))
  if (extra !== undefined) {
    const requirer = wanted.find(row => Object.hasOwn(row.packageJson.aaas.requires ?? {}, extra.name))
    throw new CloudError(
      'core.cloudware.missing-requirement',
      `${requirer?.name ?? 'a package'} requires ${extra.name}: add ${extra.name}@${extra.version} to ${site.name} first`,
      { details: { package: extra.name, version: extra.version } },
    )
  }
  await writeLock(tx, site.name, program === undefined ? undefined : lock)
}

/** Stored packages that are required but not on the site: an error can then say which one to add. */
async function requiredBy(tx: Queryable, wanted: readonly PackageRow[]): Promise<readonly PackageCandidate[]> {
  const names = new Set(wanted.flatMap(row => Object.keys(row.packageJson.aaas.requires ?? {})))
  for (const row of wanted) names.delete(row.name)
  if (names.size === 0) return []
  // Newest upload first; of two contents of one version the newer one counts.
  const seen = new Map<string, PackageCandidate>()
  for (const row of await allPackages(tx)) {
    const key = `${row.name}@${row.version}`
    if (names.has(row.name) && !seen.has(key)) seen.set(key, candidateOf(row))
  }
  return [...seen.values()]
}

function candidateOf(row: PackageRow): PackageCandidate {
  return { ref: { name: row.name, version: row.version, digest: row.digest }, packageJson: row.packageJson }
}

async function writeLock(tx: Queryable, site: string, lock: SiteLock | undefined): Promise<void> {
  await tx.query({
    text: 'update site set lock = $2 where name = $1',
    values: [site, lock === undefined ? null : JSON.stringify(lock)],
  })
}
