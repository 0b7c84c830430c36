import { availableParallelism } from 'node:os'
import { generateSite } from '../factory/index.js'
import type { SiteVersion } from '../site-center/index.js'
import { type CapacityPlan, coresWanted, type Template } from '../template/index.js'
import type { SiteCenterClient } from './connection.js'
import type { PlatformHome } from './platform-home.js'
import { signLocally } from './publisher.js'

/** Generates, signs, uploads and pushes the site of a folder. */
export async function pushSite(options: {
  readonly client: SiteCenterClient
  readonly home: PlatformHome
  readonly siteDir: string
  readonly templates: readonly Template[]
  readonly engine: string
}): Promise<{
  readonly site: string
  readonly version: SiteVersion
  readonly plan: CapacityPlan
  readonly digest: string
  /** What the plan needs and this machine lacks, a sentence each. */
  readonly warnings: readonly string[]
}> {
  const { client } = options
  const generated = await generateSite(options)
  const stored = await client.uploadPackage({
    base64: Buffer.from(generated.tarball).toString('base64'),
    signature: signLocally(options.home, generated.tarball),
  })
  const version = await client.pushVersion({ site: generated.site.name, digest: stored.digest })
  return {
    site: generated.site.name,
    version,
    plan: generated.plan,
    digest: stored.digest,
    warnings: lacking(generated.plan, availableParallelism()),
  }
}

/** Everything runs on one machine: instances share its processors with the database, the edge and each other. */
export function lacking(plan: CapacityPlan, processors: number): readonly string[] {
  const wanted = coresWanted(plan)
  if (wanted <= processors) return []
  return [
    `the plan wants ${wanted} processors, so that ${plan.cores} of them may be busy; this machine has ${processors}: more instances do not help, see 'aaas site prove'`,
  ]
}
