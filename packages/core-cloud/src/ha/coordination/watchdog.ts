/**
 * Ends the process when a lease runs out while the event loop is blocked: then no code of the holder can see its signal,
 * and goes on as if it held the lease as soon as it is not blocked any more. See `systemWatchdog`.
 */
export interface Watchdog {
  /** @param what - for the message with which the process ends. */
  guard(what: string): {
    /** @param until - monotonic milliseconds of the machine's clock. */
    extend(until: number): void
    end(): void
  }
}
