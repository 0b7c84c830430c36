/** An instance the edge may send requests to. */
export interface Upstream {
  readonly id: string
  /** Path of the unix socket on which the instance serves HTTP. */
  readonly socketPath: string
  /** Requests in flight at most; further ones go elsewhere or get 503. */
  readonly concurrency: number
  /** `draining` gets no new request; running ones finish. */
  readonly state: 'ready' | 'draining'
}

/** One site as the edge sees it. */
export interface Route {
  readonly site: string
  /** Host names without port, lower case. The site also answers under the path `/s/<site>/`. */
  readonly hostNames: readonly string[]
  readonly upstreams: readonly Upstream[]
  readonly maintenance: boolean
}

/** Sites by name. Replaced as a whole; the swap is atomic for new requests. */
export type RouteTable = readonly Route[]
