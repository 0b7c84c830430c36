import { readPackageFile } from '@aaas/core-cloud/cloudware'
import { CloudError } from '@aaas/core-cloud/kernel'
import { parseSiteFile } from '../factory/index.js'
import type { CapacityPlan } from '../template/index.js'
import type { PackageFacts } from './site-center.js'

/**
 * Reads site.json and capacity.json of a verified package; packages that no factory made have neither.
 * @throws CloudError `core.cloudware.invalid-package` when one of them is not what a factory writes.
 */
export async function inspectSitePackage(tarball: Uint8Array): Promise<PackageFacts> {
  const site = readPackageFile({ tarball, name: 'site.json' })
  const plan = readPackageFile({ tarball, name: 'capacity.json' })
  return {
    ...(plan === undefined ? {} : { plan: planOf(plan) }),
    hostNames: site === undefined ? [] : (parseSiteFile(Buffer.from(site).toString('utf8')).hostNames ?? []),
  }
}

function planOf(bytes: Uint8Array): CapacityPlan {
  try {
    const plan = JSON.parse(Buffer.from(bytes).toString('utf8')) as CapacityPlan
    const sizes = [plan.instances, plan.concurrency, plan.memoryMb]
    if (sizes.every(size => Number.isInteger(size) && size > 0) && plan.instances <= 64) return plan
  } catch (cause) {
    throw new CloudError('core.cloudware.invalid-package', 'capacity.json is not JSON', {
      field: 'capacity.json',
      cause,
    })
  }
  throw new CloudError('core.cloudware.invalid-package', 'capacity.json names no usable sizes', {
    field: 'capacity.json',
  })
}
