import { type Clock, CloudError, sleep } from '@aaas/core-cloud/kernel'
import type { Site } from '../site-center/index.js'
import type { SiteCenterClient } from './connection.js'

/**
 * Waits until a host has carried out what is wanted of a site.
 * @param options.timeoutMs - default 120_000.
 * @throws CloudError `core.deploy.unhealthy` when the roll-out was reverted, `site.center.timeout` when time ran out.
 */
export async function waitForSite(options: {
  readonly client: SiteCenterClient
  readonly clock: Clock
  readonly site: string
  readonly timeoutMs?: number
  readonly progress?: (text: string) => void
}): Promise<Site> {
  const { client, clock, site } = options
  const end = clock.monotonic() + (options.timeoutMs ?? 120_000)
  let last = ''
  for (;;) {
    const view = await client.getSite({ site })
    const ready = view.instances.filter(one => one.state === 'ready' && one.version === view.version).length
    const text = `${view.phase}, version ${view.servingVersion} serving, ${ready} of ${view.wantedInstances} instances ready`
    if (text !== last) options.progress?.(text)
    last = text
    if (view.settled) {
      if (view.phase === 'failed' || (view.failure !== undefined && view.failure.version === view.version)) {
        const { version, step, reason } = view.failure ?? { version: view.version, step: 'start', reason: 'unknown' }
        throw new CloudError('core.deploy.unhealthy', `version ${version} failed at ${step}: ${reason}; version ${view.servingVersion} goes on serving`, {
          details: { version, servingVersion: view.servingVersion },
        })
      }
      if (ready >= view.wantedInstances) return view
    }
    if (clock.monotonic() > end) throw new CloudError('site.center.timeout', `${site} is still ${text}`)
    await sleep(clock, 150)
  }
}
