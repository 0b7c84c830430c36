import { readPackageFile } from '@aaas/core-cloud/cloudware'
import { parseSiteFile } from '../factory/index.js'
import type { CapacityPlan } from '../template/index.js'
import type { PackageFacts } from './site-center.js'

/** Reads site.json and capacity.json of a verified package; packages that no factory made have neither. */
export async function inspectSitePackage(tarball: Uint8Array): Promise<PackageFacts> {
  const site = readPackageFile({ tarball, name: 'site.json' })
  const plan = readPackageFile({ tarball, name: 'capacity.json' })
  return {
    ...(plan === undefined ? {} : { plan: JSON.parse(Buffer.from(plan).toString('utf8')) as CapacityPlan }),
    hostNames: site === undefined ? [] : (parseSiteFile(Buffer.from(site).toString('utf8')).hostNames ?? []),
  }
}
