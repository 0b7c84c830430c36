import type { Queryable } from '@aaas/support-cloud/rdbms'
import type { Site } from './site-center-contract.js'
import { cloudwareRows, packagesByDigest, reports, type SiteRow } from './site-store.js'
import { siteView } from './site-view.js'

/** What is wanted and what the hosts say, of several sites; read with as many statements as for one. */
export async function siteViews(db: Queryable, sites: readonly SiteRow[]): Promise<Site[]> {
  const [hosts, cloudware, wanted] = await Promise.all([
    reports(db),
    cloudwareRows(db),
    db.query<{ site: string; digest: string }>({
      text: 'select v.site, v.digest from site_version v join site s on s.name = v.site and s.version = v.version',
    }),
  ])
  const packages = await packagesByDigest(
    db,
    [...wanted, ...cloudware].map(row => row.digest),
  )
  const digests = new Map(wanted.map(row => [row.site, row.digest]))
  return sites.map(site => {
    const stored = packages.get(digests.get(site.name) ?? '')
    return siteView({
      site,
      reports: hosts,
      cloudware: cloudware.filter(row => row.site === site.name),
      packages,
      ...(stored === undefined ? {} : { package: stored }),
    })
  })
}
