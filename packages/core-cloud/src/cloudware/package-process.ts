import type { HostFrame } from './frames.js'

/** A running operating-system process of one package. */
export interface PackageProcess {
  readonly pid: number | undefined
  /** @returns false when the frame was not taken: it is too large, or the process leaves too much unread. */
  send(frame: HostFrame): boolean
  /** Ends it at once. Harmless when it is gone. */
  kill(): void
  /** Resident memory in bytes as the system counts it; undefined where the system does not say or the process is gone. */
  residentBytes(): Promise<number | undefined>
}

/** What happens to a package's process. `exited` is the last one and comes exactly once. */
export interface PackageProcessEvents {
  /** One frame, parsed and otherwise unchecked. */
  frame(value: unknown): void
  /** A line it printed, at most 1_000 characters. */
  printed(line: string): void
  /** It is gone: why, in words such as `exited with code 1`. */
  exited(reason: string): void
}

/** Starts the process of a package. Does not throw: a failed start is an `exited`. Events come after it returned. */
export type LaunchPackage = (options: {
  /** Folder of the unpacked package. */
  readonly dir: string
  /** Resident size at which the host will kill it, MiB. */
  readonly memoryMb: number
  readonly events: PackageProcessEvents
}) => PackageProcess
