import { readFileSync } from 'node:fs'
import { type Client, httpClient } from '@aaas/core-cloud/contract'
import { type Clock, CloudError, type Ids } from '@aaas/core-cloud/kernel'
import { siteCenterContract } from '../site-center/index.js'
import type { PlatformHome } from './platform-home.js'
import { lockHolder } from './platform-lock.js'

export interface Endpoint {
  readonly edgePort: number
  readonly consolePort: number
}

export type SiteCenterClient = Client<typeof siteCenterContract>

/**
 * Where the platform of a data directory listens. A platform that was killed leaves the file behind: without a living
 * launcher it says nothing.
 * @throws CloudError `site.center.host-unavailable` when none runs there.
 */
export function endpointOf(home: PlatformHome): Endpoint {
  const none = `no platform runs on ${home.dir}; start one by 'aaas up' or set AAAS_HOME`
  if (lockHolder(home.lockFile) === undefined)
    throw new CloudError('site.center.host-unavailable', none, { field: 'AAAS_HOME' })
  try {
    return JSON.parse(readFileSync(home.endpointFile, 'utf8')) as Endpoint
  } catch (cause) {
    throw new CloudError('site.center.host-unavailable', `the platform on ${home.dir} is still starting`, { cause })
  }
}

/** A client of the site centre with the rights of this machine's administrator. */
export function connect(options: {
  readonly home: PlatformHome
  readonly clock: Clock
  readonly ids: Ids
}): SiteCenterClient {
  const { consolePort } = endpointOf(options.home)
  return httpClient({
    contract: siteCenterContract,
    baseUrl: `http://127.0.0.1:${consolePort}/api`,
    token: readToken(options.home.tokenFile),
    clock: options.clock,
    ids: options.ids,
  })
}

function readToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (cause) {
    throw new CloudError(
      'core.contract.unauthenticated',
      `${file} cannot be read: only the platform's own user may command it`,
      { cause },
    )
  }
}
