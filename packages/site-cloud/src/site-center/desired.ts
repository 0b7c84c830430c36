import type { DesiredSite, DesiredState } from '@aaas/core-cloud/deploy'
import type { Database } from '@aaas/support-cloud/rdbms'
import { allSites, type CloudwareRow, cloudwareRows, type PackageRow, type SiteRow } from './site-store.js'

interface Deployed extends SiteRow {
  readonly digest: string
  readonly packageName: string
  readonly packageVersion: string
  readonly versionConfig: Record<string, unknown>
}

/**
 * Everything a host should run, read in one transaction so that it is one moment's picture.
 * Sites without a deployed version are left out.
 */
export async function desiredState(options: {
  readonly database: Database
  readonly trust: Readonly<Record<string, string>>
  readonly adminUrl: string
}): Promise<DesiredState> {
  return options.database.transaction(async tx => {
    await tx.query({ text: 'set transaction isolation level repeatable read, read only' })
    const sites = await allSites(tx)
    const deployed = await tx.query<{
      site: string
      digest: string
      name: string
      version: string
      config: Record<string, unknown>
    }>({
      text: `select v.site, v.digest, p.name, p.version, v.config from site_version v
        join site s on s.name = v.site and s.version = v.version join package p on p.digest = v.digest`,
    })
    const added = await cloudwareRows(tx)
    const packages = await packagesOf(tx, added)
    const bySite = new Map(deployed.map(row => [row.site, row]))
    const wanted: DesiredSite[] = []
    let generation = 0
    for (const site of sites) {
      generation = Math.max(generation, site.generation)
      const row = bySite.get(site.name)
      if (row === undefined) continue
      wanted.push(
        desiredSite(
          {
            ...site,
            databaseUrl: atServer(site.databaseUrl, options.adminUrl),
            digest: row.digest,
            packageName: row.name,
            packageVersion: row.version,
            versionConfig: row.config,
          },
          added.filter(one => one.site === site.name),
          packages,
        ),
      )
    }
    return { generation, sites: wanted, trust: options.trust }
  })
}

async function packagesOf(
  tx: Parameters<Parameters<Database['transaction']>[0]>[0],
  added: readonly CloudwareRow[],
): Promise<ReadonlyMap<string, Pick<PackageRow, 'name' | 'version' | 'digest'>>> {
  const rows = await tx.query<Pick<PackageRow, 'name' | 'version' | 'digest'>>({
    text: 'select name, version, digest from package where digest = any($1)',
    values: [added.map(row => row.digest)],
  })
  return new Map(rows.map(row => [row.digest, row]))
}

function desiredSite(
  site: Deployed,
  added: readonly CloudwareRow[],
  packages: ReadonlyMap<string, Pick<PackageRow, 'name' | 'version' | 'digest'>>,
): DesiredSite {
  return {
    site: site.name,
    kind: site.kind,
    generation: site.generation,
    version: site.version,
    package: { name: site.packageName, version: site.packageVersion, digest: site.digest },
    config: { ...(site.config as Record<string, unknown>), ...site.versionConfig },
    databaseUrl: site.databaseUrl,
    hostNames: site.hostNames,
    instances: site.instances,
    concurrency: site.concurrency,
    memoryMb: site.memoryMb,
    maintenance: site.maintenance,
    restart: site.restart,
    cloudware: added.flatMap(one => {
      const stored = packages.get(one.digest)
      return stored === undefined ? [] : [{ package: { ...stored }, config: one.config }]
    }),
  }
}

/** The role, password and database of one connection string at the server of another. */
function atServer(databaseUrl: string, adminUrl: string): string {
  const url = new URL(databaseUrl)
  const server = new URL(adminUrl)
  url.hostname = server.hostname
  url.port = server.port
  url.search = server.search
  return url.href
}
