import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ShopConfig } from './shop-config.js'
import { type SiteView, siteView } from './site-view.js'

/** Database connections of an instance when no capacity plan says it. */
const defaultConnections = 8

/** What the factory wrote into the package. It was validated when the package was made, and the package is signed. */
export async function readSiteFile(packageDir: string): Promise<{
  readonly view: SiteView
  /** File name of the catalogue inside the package. */
  readonly catalogue?: string
  readonly databaseConnections: number
}> {
  const site = JSON.parse(await readFile(join(packageDir, 'site.json'), 'utf8')) as {
    config: ShopConfig
    catalogue?: string
  }
  const plan = JSON.parse(await readFile(join(packageDir, 'capacity.json'), 'utf8')) as { databaseConnections?: number }
  return {
    view: siteView(site.config),
    ...(site.catalogue === undefined ? {} : { catalogue: 'catalogue.csv' }),
    databaseConnections: plan.databaseConnections ?? defaultConnections,
  }
}
