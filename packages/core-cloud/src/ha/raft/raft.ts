import { answerVote, takeVote, tryElection } from './election.js'
import { followLeader } from './follower.js'
import {
  applyChange,
  askRead,
  broadcastHeartbeat,
  checkQuorum,
  countCommitted,
  leaveJoint,
  propose,
  snapshotSent,
  takeAppendReply,
  takeHeartbeatReply,
  takeOwnAppend,
  transfer,
  unreachable,
} from './leader.js'
import { encodeChange } from './membership.js'
import type { RaftOptions } from './options.js'
import type { Progress } from './progress.js'
import { RaftCore, type Recovered } from './raft-core.js'
import type {
  AppendWork,
  ApplyWork,
  Entry,
  HardState,
  Membership,
  MembershipChange,
  Message,
  NodeId,
  Proposal,
  Ready,
  Refusal,
  Role,
  SnapshotMark,
} from './types.js'

/** What a node knows of itself and of its group. */
export interface RaftStatus {
  readonly id: NodeId
  readonly role: Role
  readonly term: number
  readonly vote: NodeId
  /** 0: not known. */
  readonly leader: NodeId
  readonly membership: Membership
  readonly committed: number
  readonly applied: number
  readonly lastIndex: number
  readonly lastTerm: number
  /** On this node's disk. */
  readonly stable: number
  readonly transferee: NodeId
  /** Of a leader: what it knows of the members. */
  readonly progress: ReadonlyMap<NodeId, Pick<Progress, 'state' | 'match' | 'next' | 'paused' | 'active' | 'inflight'>>
}

/**
 * One member of one group: the Raft algorithm without clock, network, disk or promises. Whoever drives it calls `tick`
 * at a steady pace, `step` with what arrives, and after each of those takes `ready()` and has it done. Same calls in
 * the same order, same outcome.
 */
export class Raft {
  readonly #core: RaftCore
  #stored: HardState

  /** @throws RangeError for options out of range, and for a log with a gap. */
  constructor(options: RaftOptions, recovered: Recovered) {
    this.#core = new RaftCore(options, recovered)
    this.#stored = recovered.hardState
  }

  // ---- inputs

  /** Time passes. @param count - more than one when the driver was held up. */
  tick(count = 1): void {
    const core = this.#core
    const { electionTicks, heartbeatTicks } = core.options
    core.now += count
    core.electionElapsed += count
    if (core.role !== 'leader') {
      if (core.electionElapsed < core.electionTimeout || !core.electable) return
      core.electionElapsed = 0
      core.drawElectionTimeout()
      tryElection(core, 'timeout')
      return
    }
    core.heartbeatElapsed += count
    if (core.electionElapsed >= electionTicks) {
      core.electionElapsed = 0
      // A transfer that did not succeed by now will not: proposals are taken again.
      core.transferee = 0
      if (core.options.checkQuorum) checkQuorum(core)
    }
    if (this.#core.role === 'leader' && core.heartbeatElapsed >= heartbeatTicks) {
      core.heartbeatElapsed = 0
      broadcastHeartbeat(core)
    }
  }

  /** Something arrived from another member (or, by {@link appended}, from this one). */
  step(message: Message): void {
    const core = this.#core
    if (message.term === 0) this.#stepOutsideTerms(message)
    else if (message.term > core.term) this.#enterTerm(message)
    else if (message.term < core.term) this.#answerPast(message)
    else if (message.type === 'vote' || message.type === 'pre-vote') answerVote(core, message)
    else this.#stepInTerm(message)
  }

  /** @returns why nothing was taken (then nothing happened), or index and term the last entry will have if it commits. */
  propose(proposals: readonly Proposal[]): Refusal | { readonly index: number; readonly term: number } {
    const core = this.#core
    if (core.role !== 'leader') return 'no-leader'
    const index = propose(core, proposals)
    return typeof index === 'number' ? { index, term: core.term } : index
  }

  proposeMembership(change: MembershipChange): ReturnType<Raft['propose']> {
    return this.propose([{ kind: 'membership', data: encodeChange(change) }])
  }

  /**
   * Asks for an index that a read must wait for to see everything acknowledged before this call. The answer comes in
   * `ready().reads`, or never when leadership changes: ask again.
   */
  read(read: number): Refusal | undefined {
    const core = this.#core
    if (core.role === 'leader') return askRead(core, core.id, read)
    if (core.leader === 0) return 'no-leader'
    core.send.push({ type: 'read', from: core.id, to: core.leader, term: 0, read })
    return undefined
  }

  /** Hands leadership to a member; on a follower the leader is asked to. */
  transfer(target: NodeId): Refusal | undefined {
    const core = this.#core
    if (core.role === 'leader') return transfer(core, target)
    if (core.leader === 0) return 'no-leader'
    core.send.push({ type: 'transfer', from: core.id, to: core.leader, term: 0, target })
    return undefined
  }

  /** Tries to become leader without waiting for the timeout; with reads by lease only when the leader is not heard of. */
  campaign(): void {
    tryElection(this.#core, 'wish')
  }

  /**
   * The leader is believed dead: forget it, so that votes are possible before the timeout. Refused with reads by lease.
   * @returns whether it was forgotten.
   */
  forgetLeader(): boolean {
    const core = this.#core
    if (core.options.reads === 'lease' || core.role !== 'follower' || core.leader === 0) return false
    core.leader = 0
    return true
  }

  /** Messages to a member were lost. */
  unreachable(node: NodeId): void {
    if (this.#core.role === 'leader') unreachable(this.#core, node)
  }

  /** The snapshot that a `snapshot` message asked for was delivered, or could not be. */
  snapshotSent(node: NodeId, arrived: boolean): void {
    if (this.#core.role === 'leader') snapshotSent(this.#core, node, arrived)
  }

  /** The process stood still or its clock is in doubt: no read by lease until the next confirmed heartbeat. */
  dropLease(): void {
    this.#core.reads.dropLease()
  }

  // ---- outputs

  /** What is to be done. Everything in it has been handed out: it is not given again. */
  ready(): Ready {
    const core = this.#core
    if (core.role === 'leader' && core.reads.wantsRound) {
      core.heartbeatElapsed = 0
      broadcastHeartbeat(core)
    }
    const append = this.#appendWork()
    const apply = this.#applyWork()
    const ready = { send: core.send, append, apply, reads: core.readStates }
    core.send = []
    core.readStates = []
    return ready
  }

  /** Everything of this work and of all before it is durable. Send its `after` messages only now. */
  appended(work: AppendWork): void {
    const core = this.#core
    const { term, index, logTerm } = work.vouches
    // A work of a past term may vouch for an entry that was replaced by another and back again since: a later work,
    // which every new term brings, vouches for what is there now.
    if (term === core.term) {
      core.log.stableTo(index, logTerm)
      core.recordableCommit = Math.max(core.recordableCommit, Math.min(core.log.committed, core.log.stable))
      if (core.role === 'leader') takeOwnAppend(core)
    }
    for (const message of work.after) if (message.to === core.id) this.step(message)
  }

  /** The state machine has everything up to here. */
  applied(index: number): void {
    const core = this.#core
    const { log } = core
    for (let at = log.applied + 1; at <= index; at++) {
      const entry = log.at(at)
      log.applied = at
      if (entry?.kind === 'membership') applyChange(core, entry)
    }
    if (log.snapshotToLoad !== undefined && index >= log.snapshotToLoad.index) log.snapshotToLoad = undefined
    log.applied = Math.max(log.applied, index)
    leaveJoint(core)
  }

  /**
   * The state machine's snapshot of `index` is durable.
   * @param keep - entries before it that stay for members that are a little behind.
   */
  compact(snapshot: SnapshotMark, keep: number): void {
    this.#core.log.compact(snapshot, snapshot.index - keep)
  }

  /** Term and membership a snapshot of what is applied now belongs to. */
  get mark(): SnapshotMark {
    const { log, membership } = this.#core
    return { index: log.applied, term: log.term(log.applied) as number, membership }
  }

  get status(): RaftStatus {
    const { id, role, term, vote, leader, membership, log, transferee, progress } = this.#core
    const { committed, applied, last: lastIndex, lastTerm, stable } = log
    const known = role === 'leader' ? progress : new Map<NodeId, Progress>()
    return {
      id,
      role,
      term,
      vote,
      leader,
      membership,
      committed,
      applied,
      lastIndex,
      lastTerm,
      stable,
      transferee,
      progress: known,
    }
  }

  /** An entry that is in memory. */
  entry(index: number): Entry | undefined {
    return this.#core.log.at(index)
  }

  /** Index before the oldest entry in memory, and how many entries there are. */
  get logSize(): { readonly offset: number; readonly entries: number } {
    const { offset, last } = this.#core.log
    return { offset, entries: last - offset }
  }

  // ---- inside

  /** The message is of a later term. */
  #enterTerm(message: Message): void {
    const core = this.#core
    const { type } = message
    if (type === 'vote' || type === 'pre-vote') {
      const { checkQuorum, electionTicks } = core.options
      const leaderAlive = checkQuorum && core.leader !== 0 && core.electionElapsed < electionTicks
      if ((leaderAlive || core.lent) && !message.force) return
      if (type === 'vote') core.becomeFollower(message.term, 0)
      answerVote(core, message)
      return
    }
    // A granted pre-vote is of the term that was asked for, which nobody has yet.
    if (!(type === 'pre-vote-reply' && message.granted)) {
      const leads = type === 'append' || type === 'heartbeat' || type === 'snapshot'
      core.becomeFollower(message.term, leads ? message.from : 0)
    }
    this.#stepInTerm(message)
  }

  #answerPast(message: Message): void {
    const core = this.#core
    const { type, from } = message
    if ((type === 'append' || type === 'heartbeat') && (core.options.checkQuorum || core.options.preVote)) {
      // A leader of a past term that nobody votes against: the answer's term tells it.
      const answer = { index: 0, rejected: false, hintIndex: 0, hintTerm: 0 }
      core.send.push({ type: 'append-reply', from: core.id, to: from, term: core.term, ...answer })
    } else if (type === 'pre-vote') {
      const refusal = { type: 'pre-vote-reply', term: core.term, granted: false } as const
      core.after.push({ ...refusal, from: core.id, to: from, ...core.commitNews() })
    }
  }

  #stepInTerm(message: Message): void {
    const core = this.#core
    switch (message.type) {
      case 'append':
      case 'heartbeat':
      case 'snapshot':
        followLeader(core, message)
        break
      case 'append-reply':
        if (core.role === 'leader') takeAppendReply(core, message)
        break
      case 'heartbeat-reply':
        if (core.role === 'leader') takeHeartbeatReply(core, message)
        break
      case 'vote-reply':
      case 'pre-vote-reply':
        if (core.role === 'candidate' || core.role === 'pre-candidate') takeVote(core, message)
        break
      case 'timeout-now':
        if (core.role === 'follower') tryElection(core, 'transfer')
        break
      case 'read-reply':
        if (core.role !== 'leader') core.readStates.push({ read: message.read, index: message.index })
        break
    }
  }

  #stepOutsideTerms(message: Message): void {
    const core = this.#core
    if (core.role !== 'leader') return
    if (message.type === 'propose') propose(core, message.entries)
    else if (message.type === 'read') askRead(core, message.from, message.read)
    else if (message.type === 'transfer') transfer(core, message.target)
  }

  #appendWork(): AppendWork | undefined {
    const core = this.#core
    const { log } = core
    const snapshot = log.snapshotToStore
    const entries = log.handed < log.last ? log.slice(log.handed + 1, log.last, Number.POSITIVE_INFINITY) : []
    const { term, vote } = core
    const changed = term !== this.#stored.term || vote !== this.#stored.vote
    if (!changed && snapshot === undefined && entries.length === 0 && core.after.length === 0) return undefined
    const hardState = core.hardState()
    const after = core.after
    core.after = []
    log.snapshotToStore = undefined
    log.handed = log.last
    const wrote = changed || snapshot !== undefined || entries.length > 0
    if (wrote) this.#stored = hardState
    return {
      hardState: wrote ? hardState : undefined,
      snapshot,
      entries,
      sync: wrote,
      after,
      vouches: { term, index: log.last, logTerm: log.lastTerm },
    }
  }

  #applyWork(): ApplyWork | undefined {
    const core = this.#core
    const { log } = core
    const snapshot = log.snapshotToLoad
    if (snapshot !== undefined) {
      if (log.applying >= snapshot.index) return undefined
      log.applying = snapshot.index
      return { snapshot, entries: [] }
    }
    const until = Math.min(log.committed, log.stable)
    if (log.applying >= until) return undefined
    const entries = log.slice(log.applying + 1, until, core.options.maxApplyBytes)
    log.applying += entries.length
    countCommitted(core, entries)
    return { snapshot: undefined, entries }
  }
}
