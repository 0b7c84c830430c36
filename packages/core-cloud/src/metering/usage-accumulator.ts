import type { Reading } from './reading.js'

export type Counters = Readonly<Record<string, number>>

/** The sums of one epoch of one source. */
export interface EpochUsage {
  readonly source: string
  readonly epoch: string
  readonly site: string
  /** Highest number seen. */
  readonly seq: number
  readonly counters: Counters
}

interface Entry {
  readonly source: string
  readonly epoch: string
  readonly site: string
  seq: number
  readonly counters: Map<string, number>
}

/**
 * Adds up cumulative readings. The state is the highest value seen of every counter of every epoch, which is the same
 * in whatever order, and however often, the readings arrive. Pure: no clock, no I/O.
 *
 * Grows by one entry per epoch (one process start). Call {@link UsageAccumulator.close} when an epoch was booked for
 * good; the caller then must not feed it readings of that epoch again.
 */
export class UsageAccumulator {
  readonly #epochs = new Map<string, Entry>()

  /**
   * Takes one reading.
   * @returns by how much each counter grew, without those that did not: what is to be booked now.
   */
  add(reading: Reading): Counters {
    const key = keyOf(reading)
    let entry = this.#epochs.get(key)
    if (entry === undefined) {
      const { source, epoch, site } = reading
      entry = { source, epoch, site, seq: 0, counters: new Map() }
      this.#epochs.set(key, entry)
    }
    entry.seq = Math.max(entry.seq, reading.seq)
    const growth = new Map<string, number>()
    for (const [name, value] of Object.entries(reading.counters)) {
      const before = entry.counters.get(name) ?? 0
      if (value <= before) continue
      entry.counters.set(name, value)
      growth.set(name, value - before)
    }
    return Object.fromEntries(growth)
  }

  /** Sums per site over all epochs. */
  totals(): ReadonlyMap<string, Counters> {
    const totals = new Map<string, Map<string, number>>()
    for (const entry of this.#epochs.values()) {
      const total = totals.get(entry.site) ?? new Map<string, number>()
      for (const [name, value] of entry.counters) total.set(name, (total.get(name) ?? 0) + value)
      totals.set(entry.site, total)
    }
    return new Map([...totals].map(([site, total]) => [site, Object.fromEntries(total)]))
  }

  /** The sums of every epoch, for keeping; {@link UsageAccumulator.restore} takes them back. */
  epochs(): readonly EpochUsage[] {
    return [...this.#epochs.values()].map(({ source, epoch, site, seq, counters }) => ({
      source,
      epoch,
      site,
      seq,
      counters: Object.fromEntries(counters),
    }))
  }

  restore(epochs: readonly EpochUsage[]): void {
    for (const { source, epoch, site, seq, counters } of epochs) {
      this.#epochs.set(keyOf({ source, epoch }), {
        source,
        epoch,
        site,
        seq,
        counters: new Map(Object.entries(counters)),
      })
    }
  }

  /** Forgets an epoch that was booked for good. */
  close(source: string, epoch: string): void {
    this.#epochs.delete(keyOf({ source, epoch }))
  }
}

function keyOf({ source, epoch }: { readonly source: string; readonly epoch: string }): string {
  return `${source}\n${epoch}`
}
