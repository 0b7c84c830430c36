/** How far a leader lets a follower fall behind its answers. */
export interface FlowLimits {
  /** Append messages without an answer. */
  readonly maxInflight: number
  /** Bytes of entries in them; one message may exceed it alone. */
  readonly maxInflightBytes: number
}

/**
 * What a leader knows of one member.
 * - `probe`: where the logs meet is not known: one append at a time.
 * - `replicate`: they meet: appends are sent ahead of the answers, as far as the window allows.
 * - `snapshot`: the member needs a snapshot: nothing is sent until it has it.
 */
export class Progress {
  state: 'probe' | 'replicate' | 'snapshot' = 'probe'
  /** Largest index known to be on the member's disk. */
  match = 0
  /** First index of the next append. */
  next: number
  /** Largest commit index sent. */
  sentCommit = 0
  /** No append until an answer of any kind comes. */
  paused = false
  /** Index of the snapshot under way. */
  pendingSnapshot = 0
  /** Heard of since the last look at the quorum. */
  active = false
  /** Last round of heartbeats it answered. */
  round = 0
  readonly #limits: FlowLimits
  /** Last indexes and sizes of the appends under way, oldest first. */
  #flight: { readonly last: number; readonly bytes: number }[] = []
  #flightBytes = 0

  constructor(next: number, limits: FlowLimits) {
    this.next = next
    this.#limits = limits
  }

  get windowFull(): boolean {
    return this.#flight.length >= this.#limits.maxInflight || this.#flightBytes >= this.#limits.maxInflightBytes
  }

  get blocked(): boolean {
    return this.state === 'snapshot' || this.paused || (this.state === 'replicate' && this.windowFull)
  }

  /** Appends under way, for status pages. */
  get inflight(): number {
    return this.#flight.length
  }

  probe(): void {
    // After a snapshot the member has at least that, even if the answer that says so is still under way.
    this.next = Math.max(this.match, this.state === 'snapshot' ? this.pendingSnapshot : 0) + 1
    this.#enter('probe')
  }

  replicate(): void {
    this.next = this.match + 1
    this.#enter('replicate')
  }

  awaitSnapshot(index: number): void {
    this.#enter('snapshot')
    this.pendingSnapshot = index
    this.next = index + 1
  }

  /** Entries `next`... were sent (none: an empty append). */
  sent(count: number, bytes: number, commit: number): void {
    this.sentCommit = commit
    if (this.state === 'probe') this.paused = true
    else if (count > 0) {
      this.next += count
      this.#flight.push({ last: this.next - 1, bytes })
      this.#flightBytes += bytes
    }
  }

  /** The member has everything up to `index`. @returns false for old news. */
  acknowledged(index: number): boolean {
    while (this.#flight.length > 0 && (this.#flight[0] as { last: number }).last <= index) {
      this.#flightBytes -= (this.#flight.shift() as { bytes: number }).bytes
    }
    if (index <= this.match) return false
    this.match = index
    this.next = Math.max(this.next, index + 1)
    this.paused = false
    return true
  }

  /**
   * The member refused an append behind `rejected`; the logs may meet at `meet`.
   * @returns false when the refusal is of an append that has been overtaken.
   */
  refused(rejected: number, meet: number): boolean {
    if (this.state === 'replicate') {
      if (rejected <= this.match) return false
      this.probe()
      return true
    }
    if (this.next - 1 !== rejected) return false
    this.next = Math.max(Math.min(rejected, meet + 1), this.match + 1)
    this.paused = false
    return true
  }

  #enter(state: Progress['state']): void {
    this.state = state
    this.paused = false
    this.pendingSnapshot = 0
    this.#flight = []
    this.#flightBytes = 0
  }
}
