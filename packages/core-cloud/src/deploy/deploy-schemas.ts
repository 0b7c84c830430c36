import { Type } from 'typebox'
import type { DesiredSite, DesiredState, ObservedSite } from './desired-state.js'

/** Name of a site or platform service. */
export const SiteName = Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,39}$' })
export const HostId = Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,39}$' })
export const InstanceId = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9-]{0,63}$' })
/** SHA-512 of a tarball, lower-case hex. It becomes a folder's name, so nothing else may pass. */
export const Digest = Type.String({ pattern: '^[0-9a-f]{128}$' })
/** Epoch milliseconds. */
export const Millis = Type.Integer({ minimum: 0 })

const count = Type.Integer({ minimum: 0 })

const packageRef = Type.Object({
  name: Type.String({ minLength: 1, maxLength: 128 }),
  version: Type.String({ minLength: 1, maxLength: 64 }),
  digest: Digest,
})

const desiredSite = Type.Object({
  site: SiteName,
  kind: Type.Union([Type.Literal('site'), Type.Literal('service')]),
  generation: Type.Integer({ minimum: 1 }),
  version: Type.Integer({ minimum: 1 }),
  package: packageRef,
  config: Type.Unknown(),
  databaseUrl: Type.String({ maxLength: 2_048 }),
  hostNames: Type.Array(Type.String({ minLength: 1, maxLength: 253 }), { maxItems: 100 }),
  instances: Type.Integer({ minimum: 0, maximum: 256 }),
  concurrency: Type.Integer({ minimum: 1, maximum: 100_000 }),
  maintenance: Type.Boolean(),
  restart: count,
  cloudware: Type.Array(Type.Object({ package: packageRef, config: Type.Unknown() }), { maxItems: 100 }),
  healthyDeadlineMs: Type.Optional(Type.Integer({ minimum: 100, maximum: 3_600_000 })),
  memoryMb: Type.Optional(Type.Integer({ minimum: 64, maximum: 65_536 })),
})

const instanceState = Type.Union([
  Type.Literal('pending'),
  Type.Literal('starting'),
  Type.Literal('ready'),
  Type.Literal('draining'),
  Type.Literal('stopped'),
  Type.Literal('crashed'),
])

const observedInstance = Type.Object({
  id: InstanceId,
  version: count,
  state: instanceState,
  pid: Type.Optional(count),
  startedAt: Type.Optional(Millis),
  restarts: count,
  memoryBytes: Type.Optional(count),
  cpuMs: Type.Optional(count),
})

const observedCloudware = Type.Object({
  instance: InstanceId,
  name: Type.String(),
  version: Type.String(),
  digest: Type.String(),
  state: Type.String(),
  calls: count,
  failures: count,
  restarts: count,
  lastError: Type.Optional(Type.String()),
})

const observedSite = Type.Object({
  site: SiteName,
  observedGeneration: count,
  servingVersion: count,
  phase: Type.Union([
    Type.Literal('pending'),
    Type.Literal('fetching'),
    Type.Literal('releasing'),
    Type.Literal('rolling'),
    Type.Literal('live'),
    Type.Literal('failed'),
    Type.Literal('removed'),
  ]),
  failure: Type.Optional(Type.Object({ version: count, step: Type.String(), reason: Type.String() })),
  instances: Type.Array(observedInstance, { maxItems: 1_000 }),
  cloudware: Type.Array(observedCloudware, { maxItems: 10_000 }),
})

const desiredState = Type.Object({
  generation: count,
  sites: Type.Array(desiredSite, { maxItems: 1_000 }),
  trust: Type.Record(Type.String(), Type.String({ maxLength: 10_000 })),
})

// The wire form is checked by the schema; the type is the port's interface, whose members are read-only.
export const DesiredStateSchema = Type.Unsafe<DesiredState>(desiredState)
export const DesiredSiteSchema = Type.Unsafe<DesiredSite>(desiredSite)
export const ObservedSiteSchema = Type.Unsafe<ObservedSite>(observedSite)
