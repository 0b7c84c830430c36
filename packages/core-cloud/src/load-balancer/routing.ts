import { CloudError } from '@aaas/core-cloud/kernel'
import type { Route, RouteTable } from './route-table.js'

/** Where a request goes. */
export type Destination =
  | { readonly kind: 'site'; readonly route: Route; readonly target: string; readonly prefix: string | undefined }
  /** `/s/<site>` without the slash: links relative to the page would miss the site. */
  | { readonly kind: 'redirect'; readonly location: string }
  | { readonly kind: 'landing' }
  | { readonly kind: 'unknown-site' }
  | { readonly kind: 'bad-request' }

/** A table made ready for lookups. */
export class Routes {
  readonly #bySite = new Map<string, Route>()
  readonly #byHost = new Map<string, Route>()

  /** @throws CloudError `core.kernel.invalid-config` when two routes share a site, host name or upstream id. */
  constructor(table: RouteTable) {
    const upstreams = new Set<string>()
    for (const route of table) {
      this.#claim(this.#bySite, route.site, route)
      for (const name of route.hostNames) this.#claim(this.#byHost, name.toLowerCase(), route)
      for (const { id } of route.upstreams) {
        if (upstreams.has(id))
          throw new CloudError('core.kernel.invalid-config', `upstream ${id} is listed twice`, { field: 'upstreams' })
        upstreams.add(id)
      }
    }
  }

  #claim(map: Map<string, Route>, key: string, route: Route): void {
    if (map.has(key))
      throw new CloudError('core.kernel.invalid-config', `two routes answer for ${key}`, { field: 'hostNames' })
    map.set(key, route)
  }

  /** A site by host name; else by path below `/s/<site>/`. */
  find(host: string, url: string): Destination {
    if (!url.startsWith('/')) return { kind: 'bad-request' }
    const route = this.#byHost.get(hostName(host))
    if (route !== undefined) return { kind: 'site', route, target: url, prefix: undefined }
    if (url.startsWith('/s/')) return this.#byPath(url)
    const path = url.split('?', 1)[0]
    return { kind: path === '/' ? 'landing' : 'unknown-site' }
  }

  #byPath(url: string): Destination {
    const end = url.slice(3).search(/[/?]/)
    const site = end < 0 ? url.slice(3) : url.slice(3, 3 + end)
    const route = this.#bySite.get(site)
    if (route === undefined) return { kind: 'unknown-site' }
    const prefix = `/s/${site}`
    const rest = url.slice(prefix.length)
    if (!rest.startsWith('/')) return { kind: 'redirect', location: `${prefix}/${rest}` }
    return { kind: 'site', route, target: rest, prefix }
  }
}

/** Host name of a `Host` header: lower case, without port and final dot. */
function hostName(host: string): string {
  const name = host.startsWith('[') ? host.slice(0, host.indexOf(']') + 1) : host.split(':', 1)[0]
  return (name ?? '').toLowerCase().replace(/\.$/, '')
}
