import { type Clock, sleep } from '../../kernel/clock.js'
import type { LeaseFetch } from './lease-api.js'
import { type LeaseObject, microTime, type StatusObject } from './lease-object.js'

/**
 * What goes wrong with a call. `conflict`: 409 although there is none. `refused`: 500, nothing was stored. `lost`: it was
 * done, and the answer does not arrive. `busy`: 429. `silent`: nothing happens until the caller gives up.
 */
export type LeaseFault = 'conflict' | 'refused' | 'lost' | 'busy' | 'silent'

/** The Lease API of a Kubernetes cluster as far as leases need it: for tests, ours and those of who uses them. */
export interface LeaseSimulator {
  /** Answers as the API server does; give it to `kubernetesLeaseCoordination`. */
  readonly fetch: LeaseFetch
  /** The next call of the method (default any) goes wrong in this way; several are used in order. */
  fail(fault: LeaseFault, method?: 'GET' | 'POST' | 'PUT'): void
  /** The objects as they are. */
  objects(): readonly LeaseObject[]
  /** Calls that were answered or went wrong. */
  readonly calls: number
}

const path = /^\/apis\/coordination\.k8s\.io\/v1\/namespaces\/([a-z0-9-]+)\/leases(?:\/([a-z0-9.-]+))?$/
const objectName = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/

type Answer = readonly [status: number, body: LeaseObject | StatusObject]

/** @param options.latencyMs - of each call, default 1. */
export function leaseSimulator(options: { readonly clock: Clock; readonly latencyMs?: number }): LeaseSimulator {
  const { clock, latencyMs = 1 } = options
  const objects = new Map<string, LeaseObject>()
  const faults: { readonly fault: LeaseFault; readonly method: string | undefined }[] = []
  let version = 0
  let calls = 0

  const stored = (namespace: string, given: LeaseObject): LeaseObject => {
    version += 1
    const { name, annotations } = given.metadata
    const metadata = { name, namespace, resourceVersion: String(version), ...(annotations ? { annotations } : {}) }
    const object: LeaseObject = { ...structuredClone(given), metadata }
    objects.set(`${namespace}/${name}`, object)
    return object
  }
  const answer = (method: string, url: string, body: string | undefined): Answer => {
    const [, namespace = '', name] = path.exec(new URL(url).pathname) ?? []
    if (namespace === '') return status(404, 'NotFound', 'the server could not find the requested resource')
    const given = body === undefined ? undefined : (JSON.parse(body) as LeaseObject)
    const flaw = given === undefined ? undefined : flawOf(given)
    if (flaw !== undefined) return status(422, 'Invalid', flaw)
    if (method === 'POST' && given !== undefined) {
      const taken = objects.has(`${namespace}/${given.metadata.name}`)
      if (taken) return status(409, 'AlreadyExists', `leases "${given.metadata.name}" already exists`)
      return [201, stored(namespace, given)]
    }
    const found = objects.get(`${namespace}/${name}`)
    if (found === undefined) return status(404, 'NotFound', `leases "${name}" not found`)
    if (method === 'GET') return [200, found]
    if (method !== 'PUT' || given === undefined) return status(405, 'MethodNotAllowed', `${method} is not allowed`)
    const wanted = given.metadata.resourceVersion
    if (wanted !== undefined && wanted !== found.metadata.resourceVersion)
      return status(409, 'Conflict', 'the object has been modified; please apply your changes to the latest version')
    return [200, stored(namespace, given)]
  }

  return {
    async fetch(url, { method, body, signal }) {
      calls += 1
      const at = faults.findIndex(one => one.method === undefined || one.method === method)
      const fault = at < 0 ? undefined : faults.splice(at, 1)[0]?.fault
      if (fault === 'silent') await new Promise((_, reject) => signal.addEventListener('abort', reject))
      await sleep(clock, latencyMs, signal)
      const [code, object] = faulty(fault, method) ?? answer(method, url, body)
      if (fault === 'lost') throw new TypeError('fetch failed')
      const text = JSON.stringify(object)
      return { status: code, text: async () => text }
    },
    fail(fault, method) {
      faults.push({ fault, method })
    },
    objects: () => [...objects.values()].map(object => structuredClone(object)),
    get calls() {
      return calls
    },
  }
}

function faulty(fault: LeaseFault | undefined, method: string): Answer | undefined {
  if (fault === 'conflict' && method !== 'GET') return status(409, 'Conflict', 'the object has been modified')
  if (fault === 'refused' || fault === 'conflict') return status(500, 'InternalError', 'etcdserver: leader changed')
  if (fault === 'busy') return status(429, 'TooManyRequests', 'too many requests, please try again later')
  return undefined
}

/** What the API server would not take. */
function flawOf({ apiVersion, kind, metadata, spec }: LeaseObject): string | undefined {
  if (apiVersion !== 'coordination.k8s.io/v1' || kind !== 'Lease') return 'it is no Lease'
  if (typeof metadata?.name !== 'string' || !objectName.test(metadata.name)) return 'metadata.name: invalid value'
  const { leaseDurationSeconds, leaseTransitions, renewTime, acquireTime } = spec ?? {}
  const lasts = leaseDurationSeconds ?? 1
  const transitions = leaseTransitions ?? 0
  if (!Number.isInteger(lasts) || lasts < 1) return 'spec.leaseDurationSeconds: must be greater than 0'
  if (!Number.isInteger(transitions) || transitions < 0)
    return 'spec.leaseTransitions: must be greater than or equal to 0'
  const times = [renewTime, acquireTime].map(time => time ?? microTime(0))
  if (!times.every(time => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/.test(time))) return 'spec: a time is no MicroTime'
  return undefined
}

function status(code: number, reason: string, message: string): Answer {
  return [code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, message, code }]
}
