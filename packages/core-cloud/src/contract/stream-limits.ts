/** Bounds of the streams of one end. */
export interface StreamLimits {
  /** Items that may be under way or unread in one direction, 1 to 65_536; default 64. */
  readonly windowItems?: number
  /** Bytes of them as JSON, at least 1_024; default 1 MiB. An item larger than what is left goes when all others are read. */
  readonly windowBytes?: number
  /** Most bytes of one item as JSON, at most 4 MiB; default 1 MiB. */
  readonly maxItemBytes?: number
  /** Most bytes of all items of one direction; default 1 GiB. */
  readonly maxTotalBytes?: number
  /** Milliseconds without a sign of life after which the other end counts as gone, at least 100; default 30_000. */
  readonly idleMs?: number
  /** Streams that a served contract has open at a time; default 1_024. Beyond: `core.bus.overloaded`. */
  readonly maxOpen?: number
}

export type CheckedLimits = Required<StreamLimits>

/** What one end may send until it hears more. */
export interface Credit {
  readonly items: number
  readonly bytes: number
}

/** @throws Error for a limit out of its range: a programmer's mistake. */
export function checkedLimits(limits: StreamLimits = {}): CheckedLimits {
  const all: CheckedLimits = {
    windowItems: 64,
    windowBytes: 1_048_576,
    maxItemBytes: 1_048_576,
    maxTotalBytes: 1_073_741_824,
    idleMs: 30_000,
    maxOpen: 1_024,
    ...limits,
  }
  within('windowItems', all.windowItems, 1, 65_536)
  within('windowBytes', all.windowBytes, 1_024, 67_108_864)
  within('maxItemBytes', all.maxItemBytes, 1, 4_194_304)
  within('maxTotalBytes', all.maxTotalBytes, 1, Number.MAX_SAFE_INTEGER)
  within('idleMs', all.idleMs, 100, 3_600_000)
  within('maxOpen', all.maxOpen, 1, 1_000_000)
  return all
}

function within(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most)
    throw new Error(`${name} must be an integer from ${least} to ${most}`)
}
