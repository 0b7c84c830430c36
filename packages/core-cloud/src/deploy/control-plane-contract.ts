import { Reading } from '@aaas/core-cloud/metering'
import { Type } from 'typebox'
import { defineContract } from '../contract/contract.js'
import { DesiredStateSchema, Digest, HostId, Millis, ObservedSiteSchema } from './deploy-schemas.js'

/** Prefix under which control serves {@link controlPlaneContract} on its hub. */
export const controlPrefix = 'control'

/** Subject that control publishes to (empty payload) when the desired state has changed; a missed one costs one poll. */
export const desiredChangedSubject = 'control.desired-changed'

/** Most bytes of a package in one answer. */
export const packageChunkBytes = 512 * 1024

/** What host agents ask of control. Agents dial out; nothing here is in a site's request path. */
export const controlPlaneContract = defineContract({
  name: 'core.control-plane',
  version: '1.0.0',
  methods: {
    desiredState: {
      summary: 'What a host should run; the state itself only when it differs from the generation the host knows.',
      input: Type.Object({ hostId: HostId, knownGeneration: Type.Optional(Type.Integer({ minimum: 0 })) }),
      output: Type.Union([
        Type.Object({ changed: Type.Literal(false) }),
        Type.Object({ changed: Type.Literal(true), state: DesiredStateSchema }),
      ]),
      idempotent: true,
      deadlineMs: 5_000,
    },
    report: {
      summary: 'What a host runs now. The newest report of a host counts.',
      input: Type.Object({
        hostId: HostId,
        sites: Type.Array(ObservedSiteSchema, { maxItems: 1_000 }),
        edgePort: Type.Integer({ minimum: 0, maximum: 65_535 }),
        at: Millis,
      }),
      output: Type.Object({}),
      idempotent: true,
      deadlineMs: 5_000,
    },
    packageChunk: {
      summary: `Bytes of a package from an offset, at most ${packageChunkBytes}.`,
      input: Type.Object({ digest: Digest, offset: Type.Integer({ minimum: 0 }) }),
      output: Type.Object({
        base64: Type.String(),
        /** Size of the whole package, bytes. */
        total: Type.Integer({ minimum: 0 }),
        /** The signed statement, as `verifyPackage` takes it. */
        signature: Type.Unknown(),
      }),
      idempotent: true,
      deadlineMs: 10_000,
    },
    readings: {
      summary: 'Cumulative usage readings; a repeated one changes nothing.',
      input: Type.Object({ hostId: HostId, readings: Type.Array(Reading, { maxItems: 500 }) }),
      output: Type.Object({}),
      idempotent: true,
      deadlineMs: 5_000,
    },
  },
})
