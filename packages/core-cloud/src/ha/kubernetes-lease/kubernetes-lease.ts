import { CloudError } from '../../kernel/errors.js'
import { checkWhole } from '../coordination/checks.js'
import { type HoldingOptions, Leases } from '../coordination/leases.js'
import type { Coordination } from '../coordination.js'
import { KubernetesLeases } from './kubernetes-leases.js'
import { LeaseApi, type LeaseFetch } from './lease-api.js'

export type { LeaseFetch } from './lease-api.js'
export type { LeaseObject, StatusObject } from './lease-object.js'
export { type LeaseFault, type LeaseSimulator, leaseSimulator } from './lease-simulator.js'

export interface KubernetesLeaseOptions extends HoldingOptions {
  /** Default `https://kubernetes.default.svc`. */
  readonly server?: string
  /** Where the objects are: a label of at most 63 characters. */
  readonly namespace: string
  /** Of the service account, asked before each call. */
  readonly token?: () => string | Promise<string>
  /**
   * Default the platform's; it trusts the cluster when the process was started with
   * `NODE_EXTRA_CA_CERTS=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt`.
   */
  readonly fetch?: LeaseFetch
  /** In front of the names of objects: lower case, digits, `-`; at most 20 characters. Default `aaas-`. */
  readonly prefix?: string
  /** Milliseconds that a call may take, 100 to 60_000; default 5_000. */
  readonly callMs?: number
  /** Milliseconds between two looks at a name that somebody waits for or watches, 100 to 60_000; default 1_000. */
  readonly pollMs?: number
}

/**
 * Leases, locks and elections with the Lease objects of a Kubernetes cluster. The account needs `get`, `create` and
 * `update` of `leases` in `coordination.k8s.io`.
 *
 * What is less than with `raftCoordination`: no keys; waiting locks are not in order; lifetimes are rounded up to whole
 * seconds; a lease of a dead holder is over one lifetime after somebody who wants it has first looked. Who deletes an
 * object makes its tokens begin again at 1.
 * @throws CloudError `core.ha.invalid-argument`.
 */
export function kubernetesLeaseCoordination(options: KubernetesLeaseOptions): Coordination {
  const { server = 'https://kubernetes.default.svc', namespace, prefix = 'aaas-', clock, node } = options
  const { callMs = 5_000, pollMs = 1_000 } = options
  if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(namespace)) throw invalid('namespace', 'it is no label')
  if (!/^[a-z0-9][a-z0-9-]{0,19}$/.test(prefix)) throw invalid('prefix', 'it is lower case, digits and -')
  if (!URL.canParse(server) || !/^https?:$/.test(new URL(server).protocol)) throw invalid('server', 'it is no URL')
  checkWhole(callMs, 'callMs', { least: 100, most: 60_000 })
  checkWhole(pollMs, 'pollMs', { least: 100, most: 60_000 })
  const api = new LeaseApi({
    server: server.replace(/\/$/, ''),
    namespace,
    clock,
    callMs,
    fetch: options.fetch ?? ((url, init) => globalThis.fetch(url, init)),
    ...(options.token === undefined ? {} : { token: options.token }),
  })
  const leases = new Leases(new KubernetesLeases({ api, clock, node, prefix, pollMs }), options)
  return {
    driver: 'kubernetes-lease',
    features: { fair: false, keyTtl: false, everyChange: false },
    lease: (name, how) => leases.lease(name, how),
    lock: (name, how) => leases.lock(name, how),
    elect: (name, how, lead) => leases.elect(name, how, lead),
    holder: name => leases.holder(name),
    holders: (name, how) => leases.holders(name, how),
    [Symbol.asyncDispose]: () => leases[Symbol.asyncDispose](),
  }
}

function invalid(field: string, reason: string): CloudError {
  return new CloudError('core.ha.invalid-argument', `${field}: ${reason}`, { field })
}
