import { type Static, Type } from 'typebox'

/**
 * A cumulative reading: what a source has used since its epoch began. Because every reading holds the whole sum, a lost
 * one loses nothing once the next arrives, and a repeated or late one adds nothing.
 */
export const Reading = Type.Object(
  {
    /** What was measured, such as an instance id. Unique on the platform together with `epoch`. */
    source: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}$' }),
    /** Who used it. */
    site: Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,39}$' }),
    /** A new one whenever the counters start at zero again: one per process. Sorted by time. */
    epoch: Type.String({ pattern: '^[A-Za-z0-9-]{1,64}$' }),
    /** From 1, goes up with every reading of the epoch. */
    seq: Type.Integer({ minimum: 1 }),
    /** Epoch milliseconds of the measurement, by the source's clock. */
    at: Type.Integer({ minimum: 0 }),
    /** Sums since the epoch began, by name; units are in the name (`cpuMs`, `memoryKibSeconds`, `responseBytes`). */
    counters: Type.Record(
      Type.String({ pattern: '^[a-z][A-Za-z0-9]{0,63}$' }),
      Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
    ),
  },
  { additionalProperties: false },
)
export type Reading = Static<typeof Reading>
