/** The part of a `coordination.k8s.io/v1` Lease that we read and write. */
export interface LeaseObject {
  readonly apiVersion: 'coordination.k8s.io/v1'
  readonly kind: 'Lease'
  readonly metadata: {
    readonly name: string
    readonly namespace: string
    /** Changes with every write; a PUT that names another one is answered 409. Absent in a new object. */
    readonly resourceVersion?: string
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly spec: {
    readonly holderIdentity?: string | null
    readonly leaseDurationSeconds?: number | null
    /** RFC 3339 with microseconds. For people: no clock of another machine is believed. */
    readonly acquireTime?: string | null
    readonly renewTime?: string | null
    /** How often the holder changed: our fencing token. */
    readonly leaseTransitions?: number | null
  }
}

/** What the API server says when it refuses. */
export interface StatusObject {
  readonly kind: 'Status'
  readonly apiVersion: 'v1'
  readonly status: 'Failure'
  readonly reason: string
  readonly message: string
  readonly code: number
}

/** A time as the API server wants it. */
export function microTime(epochMs: number): string {
  return new Date(epochMs).toISOString().replace('Z', '000Z')
}
