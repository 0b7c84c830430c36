import { readFileSync } from 'node:fs'
import { type Client, httpClient } from '@aaas/core-cloud/contract'
import { type Clock, CloudError, type Ids } from '@aaas/core-cloud/kernel'
import { siteCenterContract } from '../site-center/index.js'
import type { PlatformHome } from './platform-home.js'

export interface Endpoint {
  readonly edgePort: number
  readonly consolePort: number
}

export type SiteCenterClient = Client<typeof siteCenterContract>

/** Where the platform of a data directory listens. @throws CloudError when none runs there. */
export function endpointOf(home: PlatformHome): Endpoint {
  try {
    return JSON.parse(readFileSync(home.endpointFile, 'utf8')) as Endpoint
  } catch (cause) {
    throw new CloudError('site.center.host-unavailable', `no platform runs on ${home.dir}; start one by 'aaas up'`, { cause })
  }
}

/** A client of the site centre with the rights of this machine's administrator. */
export function connect(options: { readonly home: PlatformHome; readonly clock: Clock; readonly ids: Ids }): SiteCenterClient {
  const { consolePort } = endpointOf(options.home)
  return httpClient({
    contract: siteCenterContract,
    baseUrl: `http://127.0.0.1:${consolePort}/api`,
    token: readFileSync(options.home.tokenFile, 'utf8').trim(),
    clock: options.clock,
    ids: options.ids,
  })
}
