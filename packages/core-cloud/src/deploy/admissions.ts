import { createHash } from 'node:crypto'
import type { BusIdentity } from '@aaas/core-cloud/bus'
import type { Ids } from '../kernel/ids.js'
import type { DesiredSite } from './desired-state.js'
import { busPrefixOf } from './site-runner.js'

/** Where instances announce themselves to each other for direct calls. */
const discovery = 'aaas.peers.>'

/** What an instance may do on the bus, whichever way it takes. */
export function identityOf(site: Pick<DesiredSite, 'site' | 'kind'>): BusIdentity {
  return {
    name: site.site,
    kind: site.kind,
    // A site may call services; a service may call the sites it serves too. Neither listens on another's subjects.
    publish: [...(site.kind === 'site' ? ['service.>'] : ['service.>', 'site.>']), discovery],
    subscribe: [`${busPrefixOf(site)}.>`, discovery],
  }
}

/** Who may be on the host's hub: each instance by a token of its own, for as long as it runs. */
export interface Admissions {
  /** @returns the token that the instance is to present. */
  admit(instance: string, site: DesiredSite): string
  revoke(instance: string): void
  authenticate(token: string): BusIdentity | undefined
  siteOf(instance: string): string | undefined
}

export function createAdmissions(ids: Ids): Admissions {
  // By hash: looking up a secret itself would tell by its time how much of a guess is right.
  const identities = new Map<string, BusIdentity>()
  const instances = new Map<string, { readonly key: string; readonly site: string }>()
  return {
    admit(instance, site) {
      const token = ids.token(32)
      const key = hashOf(token)
      instances.set(instance, { key, site: site.site })
      identities.set(key, identityOf(site))
      return token
    },
    revoke(instance) {
      const entry = instances.get(instance)
      if (entry === undefined) return
      identities.delete(entry.key)
      instances.delete(instance)
    },
    authenticate: token => identities.get(hashOf(token)),
    siteOf: instance => instances.get(instance)?.site,
  }
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}
