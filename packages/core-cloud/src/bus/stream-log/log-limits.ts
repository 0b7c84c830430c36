/** Bounds of a stream server. */
export interface StreamLimits {
  /** Streams, buckets and dead-letter streams; beyond: `core.bus.overloaded`. Default 1_024. */
  readonly maxStreams: number
  /** Consumers of one stream; beyond: `core.bus.overloaded`. Default 256. */
  readonly maxConsumers: number
  /** Members of one consumer; beyond: `core.bus.overloaded`. Default 1_024. */
  readonly maxMembers: number
  /** Messages of one stream that wait to be written; beyond: `core.bus.overloaded`. Default 65_536. */
  readonly maxWaiting: number
  /** Bytes of those; default 64 MiB. */
  readonly maxWaitingBytes: number
  /** Message ids of one stream that are remembered; beyond: `core.bus.overloaded` until older ones end. Default 2_000_000. */
  readonly maxIds: number
  /** Messages of one stream that wait for their time; beyond: `core.bus.stream-full`. Default 1_000_000. */
  readonly maxLaters: number
  /** Bytes of one file of a log, 4_096 to 1 GiB; default 16 MiB. */
  readonly segmentBytes: number
  /** Bytes of the newest messages of a stream that are kept in memory; default 4 MiB. */
  readonly cacheBytes: number
  /** Milliseconds without a word after which a member counts as gone, 100 to 60_000; default 5_000. */
  readonly absentMs: number
  /** Milliseconds after an opening that messages wait for the members that held them. Default 1_000. */
  readonly rejoinMs: number
}

export const defaultStreamLimits: StreamLimits = {
  maxStreams: 1_024,
  maxConsumers: 256,
  maxMembers: 1_024,
  maxWaiting: 65_536,
  maxWaitingBytes: 64 * 1_048_576,
  maxIds: 2_000_000,
  maxLaters: 1_000_000,
  segmentBytes: 16 * 1_048_576,
  cacheBytes: 4 * 1_048_576,
  absentMs: 5_000,
  rejoinMs: 1_000,
}
