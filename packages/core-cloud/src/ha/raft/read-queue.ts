import { committedIndex } from './quorum.js'
import type { Membership, NodeId } from './types.js'

interface WaitingRead {
  readonly from: NodeId
  readonly read: number
  /** What was committed when it was asked: the answer must include that. */
  readonly index: number
  /** The first round of heartbeats sent after it. */
  readonly round: number
}

/**
 * Reads of a leader that wait until a majority has confirmed that it is still the leader (Raft thesis, 6.4). A round of
 * heartbeats confirms all reads that were asked before it was sent; rounds also carry the lease.
 */
export class ReadQueue {
  readonly #options: { readonly maxReads: number; readonly electionTicks: number }
  /** Asked before the leader's first commit: what is committed is not known yet. */
  #early: { readonly from: NodeId; readonly read: number }[] = []
  #waiting: WaitingRead[] = []
  /** Rounds sent and not confirmed, with the tick of their sending; oldest first. */
  #rounds: { readonly round: number; readonly sentAt: number }[] = []
  #round = 0
  #leaseFrom = Number.NEGATIVE_INFINITY

  constructor(options: { readonly maxReads: number; readonly electionTicks: number }) {
    this.#options = options
  }

  /** The last round sent. */
  get round(): number {
    return this.#round
  }

  get full(): boolean {
    return this.#early.length + this.#waiting.length >= this.#options.maxReads
  }

  /** Some read has no round of its own yet. */
  get wantsRound(): boolean {
    return this.#waiting.length > 0 && (this.#waiting.at(-1) as WaitingRead).round > this.#round
  }

  addEarly(from: NodeId, read: number): void {
    this.#early.push({ from, read })
  }

  takeEarly(): readonly { readonly from: NodeId; readonly read: number }[] {
    const early = this.#early
    this.#early = []
    return early
  }

  add(from: NodeId, read: number, index: number): void {
    this.#waiting.push({ from, read, index, round: this.#round + 1 })
  }

  /** A round is sent now. */
  begin(now: number): number {
    this.#round += 1
    this.#rounds.push({ round: this.#round, sentAt: now })
    // Without a majority nothing is confirmed: what is older than a lease need not be remembered.
    if (this.#rounds.length > 64) this.#rounds.shift()
    return this.#round
  }

  /** @returns the reads that a majority has confirmed. */
  confirm(membership: Membership, answered: (node: NodeId) => number): readonly WaitingRead[] {
    const round = committedIndex(membership, answered)
    while (this.#rounds.length > 0 && (this.#rounds[0] as { round: number }).round <= round) {
      this.#leaseFrom = (this.#rounds.shift() as { sentAt: number }).sentAt
    }
    const open = this.#waiting.findIndex(read => read.round > round)
    return this.#waiting.splice(0, open === -1 ? this.#waiting.length : open)
  }

  /** Nobody else can have been elected before `now` + a tenth of an election timeout. */
  hasLease(now: number): boolean {
    return now - this.#leaseFrom < Math.floor(this.#options.electionTicks * 0.9)
  }

  /** Time may have passed that was not ticked. */
  dropLease(): void {
    this.#leaseFrom = Number.NEGATIVE_INFINITY
    this.#rounds = []
  }

  clear(): void {
    this.#early = []
    this.#waiting = []
    this.dropLease()
  }
}
