import { isVoter, membersOf } from './membership.js'
import { completed, type RaftOptions } from './options.js'
import { Progress } from './progress.js'
import { tally } from './quorum.js'
import { RaftLog } from './raft-log.js'
import { ReadQueue } from './read-queue.js'
import type { Entry, HardState, Membership, Message, NodeId, ReadState, Role, SnapshotMark } from './types.js'

/** What a node finds on its disk. */
export interface Recovered {
  readonly hardState: HardState
  /** Index 0 with the first membership when there was no snapshot yet. */
  readonly snapshot: SnapshotMark
  /** Behind the snapshot, without a gap. */
  readonly entries: readonly Entry[]
}

/**
 * The state of one node in one group, and what every role does. The rules of the single roles are functions on it in
 * the files beside: this class knows no clock, no network, no disk; everything happens in the order of its calls.
 */
export class RaftCore {
  readonly options: Required<RaftOptions>
  readonly log: RaftLog
  term: number
  vote: NodeId
  leader: NodeId = 0
  role: Role = 'follower'
  membership: Membership
  progress = new Map<NodeId, Progress>()
  readonly votes = new Map<NodeId, boolean>()
  /** Member that is to become leader; proposals wait until it is, or until an election timeout passed. */
  transferee: NodeId = 0
  /** A member was told to campaign although this leader is alive, which it may do at any later time: no lease holds. */
  leaseBroken = false
  /** No second change of membership before this entry is applied. */
  membershipIndex = 0
  uncommittedBytes = 0
  readonly reads: ReadQueue
  /** Ticks since the start. */
  now = 0
  /** With reads by lease: until then this node helps nobody but its leader into office, which answers reads on that. */
  lentUntil: number
  electionElapsed = 0
  heartbeatElapsed = 0
  electionTimeout = 0
  /**
   * Committed, and on this disk as it was committed: what may be recorded. A larger commit index could reach the disk
   * in a write whose entries do not, and vouch for what stood at their places before.
   */
  recordableCommit: number
  send: Message[] = []
  /** To be sent when everything up to now is durable. */
  after: Message[] = []
  readStates: ReadState[] = []
  #random: number

  constructor(options: RaftOptions, recovered: Recovered) {
    this.options = completed(options)
    const { hardState, snapshot, entries } = recovered
    this.log = new RaftLog(snapshot, entries, hardState.commit)
    this.term = hardState.term
    this.vote = hardState.vote
    this.membership = snapshot.membership
    this.recordableCommit = this.log.committed
    // What was lent in the life before is not known: it cannot last longer than this.
    this.lentUntil = this.options.electionTicks
    this.reads = new ReadQueue(this.options)
    this.#random = (options.seed ^ Math.imul(options.id, 0x9e37_79b9)) >>> 0
    this.syncProgress()
    this.becomeFollower(this.term, 0)
  }

  get id(): NodeId {
    return this.options.id
  }

  // ---- roles

  becomeFollower(term: number, leader: NodeId): void {
    this.#reset(term)
    this.role = 'follower'
    this.leader = leader
  }

  becomePreCandidate(): void {
    // Neither term nor vote change: nothing is promised yet.
    this.#reset(this.term)
    this.role = 'pre-candidate'
  }

  becomeCandidate(): void {
    this.#reset(this.term + 1)
    this.role = 'candidate'
    this.vote = this.id
  }

  becomeLeader(): void {
    this.#reset(this.term)
    this.role = 'leader'
    this.leader = this.id
    const own = this.progress.get(this.id)
    if (own !== undefined) {
      own.replicate()
      own.active = true
    }
    // There may be a change of membership among the entries that are not committed: none may follow until they are.
    this.membershipIndex = this.log.last
    this.appendOwn([{ kind: 'noop', data: empty }])
  }

  #reset(term: number): void {
    if (term !== this.term) {
      this.term = term
      this.vote = 0
    }
    this.leader = 0
    this.electionElapsed = 0
    this.heartbeatElapsed = 0
    this.drawElectionTimeout()
    this.transferee = 0
    this.leaseBroken = false
    this.membershipIndex = 0
    this.uncommittedBytes = 0
    this.votes.clear()
    this.reads.clear()
    for (const [node, progress] of this.progress) {
      const fresh = new Progress(this.log.last + 1, this.options)
      if (node === this.id) fresh.match = this.log.stable
      fresh.active = progress.active && node === this.id
      this.progress.set(node, fresh)
    }
  }

  drawElectionTimeout(): void {
    const { electionTicks, delayTicks } = this.options
    this.electionTimeout = electionTicks + delayTicks + Math.floor(this.#draw() * electionTicks)
  }

  /** Mulberry32 (Tommy Ettinger, public domain): small, seeded, good enough to part two nodes. */
  #draw(): number {
    this.#random = (this.#random + 0x6d2b_79f5) >>> 0
    let mixed = this.#random
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }

  // ---- members

  /** Makes `progress` follow `membership`. */
  syncProgress(): void {
    const members = membersOf(this.membership)
    for (const node of this.progress.keys()) if (!members.includes(node)) this.progress.delete(node)
    for (const node of members) {
      if (this.progress.has(node)) continue
      const progress = new Progress(this.log.last + 1, this.options)
      // A newcomer counts as heard of: otherwise its adding could cost the leader its quorum at once.
      progress.active = true
      if (node === this.id) progress.match = this.log.stable
      this.progress.set(node, progress)
    }
  }

  get isVoter(): boolean {
    return isVoter(this.membership, this.id)
  }

  isWitness(node: NodeId): boolean {
    return this.membership.witnesses.includes(node)
  }

  /** May ask for votes: has a voice, can lead, and its log is not being replaced. */
  get electable(): boolean {
    return this.isVoter && !this.isWitness(this.id) && this.log.snapshotToLoad === undefined
  }

  // ---- elections

  /** Time that a leader may count on is still running. */
  get lent(): boolean {
    return this.options.reads === 'lease' && this.now < this.lentUntil
  }

  campaign(kind: 'pre-vote' | 'vote', force = false): void {
    if (kind === 'pre-vote') this.becomePreCandidate()
    else this.becomeCandidate()
    const term = kind === 'pre-vote' ? this.term + 1 : this.term
    const { last: lastIndex, lastTerm } = this.log
    const news = this.commitNews()
    const voters = new Set([...this.membership.voters, ...this.membership.outgoing])
    // Requests leave when term, vote and log are durable: a node that forgot them in a crash could otherwise win an
    // election by answers that were given to a longer log than it has then.
    for (const to of voters) {
      if (to === this.id) this.after.push({ type: `${kind}-reply`, from: to, to, term, granted: true, ...news })
      else this.after.push({ type: kind, from: this.id, to, term, lastIndex, lastTerm, force, ...news })
    }
  }

  commitNews(): { readonly commit: number; readonly commitTerm: number } {
    const { committed } = this.log
    return { commit: committed, commitTerm: this.log.term(committed) as number }
  }

  /** Counts an answer. @returns what the election has come to. */
  countVote(from: NodeId, granted: boolean): 'won' | 'lost' | 'pending' {
    if (!this.votes.has(from)) this.votes.set(from, granted)
    return tally(this.membership, this.votes)
  }

  // ---- the log

  /** Appends entries of this leader's term. */
  appendOwn(proposals: readonly { readonly kind: Entry['kind']; readonly data: Uint8Array }[]): void {
    const { term, log } = this
    let index = log.last
    log.append(proposals.map(({ kind, data }) => ({ index: ++index, term, kind, data })))
  }

  hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.recordableCommit }
  }
}

export const empty = new Uint8Array(0)
