import { type Clock, CloudError, sleep } from '@aaas/core-cloud/kernel'
import type { Site } from '../site-center/index.js'
import type { SiteCenterClient } from './connection.js'

/** Milliseconds between two looks. */
const lookMs = 150

export interface WaitOptions {
  readonly client: Pick<SiteCenterClient, 'getSite'>
  readonly clock: Clock
  readonly site: string
  /** Default 120_000. */
  readonly timeoutMs?: number
  /** Told each time something changed. */
  readonly progress?: (text: string) => void
  /** Ends the wait; the platform goes on with what it does. */
  readonly signal?: AbortSignal
  /** Epoch milliseconds: reports from before are not believed, such as those of a platform that was stopped since. */
  readonly reportedAfter?: number
}

/**
 * Waits until a host has carried out what is wanted of a site.
 * @throws CloudError `core.deploy.unhealthy` when the roll-out was reverted, `site.center.timeout` when time ran out,
 *   `core.contract.cancelled` when the signal aborted.
 */
export function waitForSite(options: WaitOptions): Promise<Site> {
  return waitUntil(options, view => {
    const ready = view.instances.filter(one => one.state === 'ready' && one.version === view.version).length
    const state = `${view.phase}, version ${view.servingVersion} serving, ${ready} of ${view.wantedInstances} instances ready`
    if (!view.settled) return state
    if (view.phase === 'failed' || view.failure?.version === view.version) throw unhealthy(view)
    return ready >= view.wantedInstances ? undefined : state
  })
}

/**
 * Waits until every ready instance has one cloudware package running in the wanted version (`name` on the site), or none
 * has it any more (`name` taken off).
 * @throws CloudError as {@link waitForSite}; a package that does not start is named with its last error in the timeout.
 */
export function waitForCloudware(options: WaitOptions & { readonly name: string }): Promise<Site> {
  return waitUntil(options, view => {
    const ready = view.instances.filter(one => one.state === 'ready').map(one => one.id)
    const mine = view.cloudware.filter(one => one.name === options.name)
    const leaving = mine.flatMap(one => (one.wanted ? [] : one.instances))
    const wanted = mine.find(one => one.wanted)
    const loaded = ready.filter(id => wanted?.instances.some(one => one.instance === id && one.state === 'ready'))
    const trouble = wanted?.instances.find(one => one.lastError !== undefined && one.state !== 'ready')?.lastError
    const state =
      wanted === undefined
        ? `${leaving.length} instances still have ${options.name}`
        : `${loaded.length} of ${ready.length} instances have ${options.name}${trouble === undefined ? '' : `; last error: ${trouble}`}`
    const there = wanted === undefined || (ready.length > 0 && loaded.length === ready.length)
    return view.settled && there && leaving.length === 0 ? undefined : state
  })
}

/** @param look - says what is still missing, or nothing when there is nothing left to wait for. */
async function waitUntil(options: WaitOptions, look: (view: Site) => string | undefined): Promise<Site> {
  const { client, clock, site, signal, progress, reportedAfter = 0 } = options
  const end = clock.monotonic() + (options.timeoutMs ?? 120_000)
  let told = ''
  for (;;) {
    if (signal?.aborted === true) throw stopped(site)
    const view = await client.getSite({ site })
    const state = (view.reportedAt ?? 0) < reportedAfter ? 'waiting for the host' : look(view)
    if (state === undefined) return view
    if (state !== told) progress?.(state)
    told = state
    if (clock.monotonic() > end) throw new CloudError('site.center.timeout', `${site}: time is over: ${state}`)
    await sleep(clock, lookMs, signal).catch(() => {
      throw stopped(site)
    })
  }
}

function unhealthy(view: Site): CloudError {
  const { version, step, reason } = view.failure ?? { version: view.version, step: 'start', reason: 'unknown' }
  const rest = view.servingVersion === 0 ? 'nothing serves' : `version ${view.servingVersion} goes on serving`
  return new CloudError('core.deploy.unhealthy', `version ${version} failed at ${step}: ${reason}; ${rest}`, {
    details: { version, servingVersion: view.servingVersion },
  })
}

function stopped(site: string): CloudError {
  return new CloudError(
    'core.contract.cancelled',
    `stopped waiting; the platform goes on: see 'aaas site status ${site}'`,
  )
}
