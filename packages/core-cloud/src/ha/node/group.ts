import type { BulkInlet } from '../network.js'
import { encodeMessage } from '../raft/codec.js'
import type { RaftOptions } from '../raft/options.js'
import { Raft, type RaftStatus } from '../raft/raft.js'
import type { Recovered } from '../raft/raft-core.js'
import type { AppendWork, ApplyWork, Entry, MembershipChange, Message, NodeId, Refusal } from '../raft/types.js'
import type { ReadLevel, Replica, StateMachine } from '../replica.js'
import type { GroupId } from '../storage.js'
import { AppendEncoder } from './append-encoder.js'
import { deadlineOf, stopped } from './call-end.js'
import { Changes } from './changes.js'
import { placesOf } from './command.js'
import { CommitNews } from './commit-news.js'
import type { GroupHost } from './group-host.js'
import { LeaderHint } from './leader-hint.js'
import { type DriverItem, encodeItem } from './node-wire.js'
import { type Batch, Proposals, type Proposed } from './proposals.js'
import { Reads } from './reads.js'
import { ReplicatedState } from './replicated-state.js'
import type { SessionLimits } from './sessions.js'
import { type SnapshotHeader, Snapshots } from './snapshots.js'
import { StatusListeners } from './status-listeners.js'
import { Watches } from './watches.js'

export interface GroupSetup {
  readonly group: GroupId
  readonly machine: StateMachine
  readonly raft: RaftOptions
  readonly sessions: SessionLimits
  readonly recovered: Recovered
}

/** After a refusal the leader is asked again when something changes, or after this. */
const holdMs = 10

/**
 * Drives the core of one group: does what it wants done, in turns. Everything that happens (a message, a call, a write
 * that is durable) asks for a turn; what has gathered until then is done together.
 */
export class Group implements Replica {
  readonly raft: Raft
  readonly watches: Watches
  readonly #host: GroupHost
  readonly #group: GroupId
  readonly #setup: GroupSetup
  readonly #state: ReplicatedState
  readonly #snapshots: Snapshots
  readonly #proposals: Proposals
  readonly #reads: Reads
  readonly #changes: Changes
  readonly #hint: LeaderHint
  readonly #listeners: StatusListeners
  readonly #applyQueue: ApplyWork[] = []
  readonly #news: CommitNews
  #applied: number
  #appliedTerm: number
  #loading = false
  #writes = 0
  #holdUntil = Number.NEGATIVE_INFINITY
  #ended = false

  constructor(host: GroupHost, setup: GroupSetup) {
    const { group, machine, raft, sessions, recovered } = setup
    this.#host = host
    this.#group = group
    const appends = new AppendEncoder(group)
    this.#news = new CommitNews(host, message => {
      host.send(message.to, appends.encode(message), () => this.raft.unreachable(message.to))
    })
    this.#setup = setup
    this.raft = new Raft(raft, recovered)
    this.#state = new ReplicatedState(machine, sessions)
    this.#snapshots = new Snapshots(group, host, this.#state, this.raft)
    const { clock, limits, ids } = host
    this.watches = new Watches(clock)
    const draw = (): number => Math.floor(ids.random() * 2 ** 48) + 1
    this.#proposals = new Proposals({ clock, limits, token: draw() })
    this.#reads = new Reads(clock, limits, draw())
    this.#changes = new Changes(group, host, this)
    this.#hint = new LeaderHint(host, this.raft)
    this.#applied = recovered.snapshot.index
    this.#appliedTerm = recovered.snapshot.term
    this.#listeners = new StatusListeners(host.logger, this.raft.status)
  }

  /** Loads the state of the last snapshot; before anything else. */
  async load(): Promise<void> {
    const { index } = this.#setup.recovered.snapshot
    if (index > 0) await this.#snapshots.load(index)
  }

  // ---- calls

  propose(
    command: Uint8Array,
    options: { readonly deadline?: number; readonly signal?: AbortSignal } = {},
  ): Promise<Proposed> {
    const outcome = this.#proposals.call(command, options)
    this.#host.wake()
    return outcome
  }

  async read(
    level: ReadLevel = 'linearizable',
    options: { readonly deadline?: number; readonly signal?: AbortSignal } = {},
  ): Promise<number> {
    if (level === 'stale') {
      if (this.#ended) throw stopped()
      return this.#applied
    }
    const outcome = this.#reads.call(level, options)
    this.#host.wake()
    return outcome
  }

  change(change: MembershipChange, options: { readonly deadline?: number } = {}): Promise<void> {
    return this.#changes.change(change, this.#deadline(options))
  }

  transfer(target: NodeId, options: { readonly deadline?: number } = {}): Promise<void> {
    return this.#changes.transfer(target, this.#deadline(options))
  }

  #deadline(options: { readonly deadline?: number }): number {
    return deadlineOf(this.#host.clock, options, this.#host.limits.callMs)
  }

  onStatus(handler: (status: RaftStatus) => void): () => void {
    return this.#listeners.add(handler)
  }

  get status(): RaftStatus {
    return this.raft.status
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Calls without an outcome. */
  get open(): number {
    return this.#proposals.size + this.#reads.size
  }

  // ---- what happens

  tick(pace: { readonly exact: number; readonly patient: number; readonly lateMs: number }): void {
    if (this.#ended) return
    const { clock, electionMs } = this.#host
    const now = clock.monotonic()
    if (this.#setup.raft.reads === 'lease') {
      // A lease is real time, also the time this process slept through.
      if (pace.lateMs > electionMs / 4) this.raft.dropLease()
      if (pace.exact > 0) this.raft.tick(pace.exact)
    } else if (pace.patient > 0) this.raft.tick(pace.patient)
    this.#proposals.tick(now)
    this.#reads.tick(now)
    this.watches.look()
    this.#host.wake()
  }

  /** A message of the core's own. Throws when the group is broken: the node must not go on. */
  step(message: Message): void {
    if (this.#ended || message.type === 'snapshot') return
    if (message.type === 'read') this.#distrustLease(message.read)
    this.raft.step(message)
    this.#host.wake()
  }

  item(from: NodeId, item: DriverItem): void {
    if (this.#ended) return
    if (item.kind === 'forward') this.#forwarded(from, item.commands)
    else if (item.kind === 'refused') {
      this.#proposals.refusedBy(item.session, item.sequences, item.reason)
      this.#hold()
    } else this.#changes.item(from, item)
    this.#host.wake()
  }

  peer(node: NodeId, state: 'up' | 'down'): void {
    if (this.#ended) return
    if (state === 'down') {
      if (node === this.raft.status.leader) {
        this.#proposals.connectionLost()
        this.#reads.askAgain()
      }
      this.raft.unreachable(node)
    }
    this.#hint.peer(node, state)
    this.#host.wake()
  }

  async receiveSnapshot(from: NodeId, header: SnapshotHeader): Promise<BulkInlet> {
    if (this.#ended) throw stopped()
    return this.#snapshots.receive(from, header, () => {
      if (this.#ended) return
      this.raft.step(header.message)
      this.#host.wake()
    })
  }

  // ---- a turn

  turn(): void {
    if (this.#ended) return
    for (let again = true; again; ) {
      this.#flushProposals()
      this.#reads.flush((id, level) => this.#ask(id, level))
      const { send, append, apply, reads } = this.raft.ready()
      for (const message of send) this.#send(message)
      if (append !== undefined) this.#store(append)
      if (apply !== undefined) this.#apply(apply)
      if (reads.length > 0) this.#reads.answered(reads, this.#applied)
      // Only what was applied makes more to do in this turn.
      again = apply !== undefined
    }
    this.#tellStatus()
    this.watches.look()
  }

  /** Whoever was asked may lead no more. */
  #tellStatus(): void {
    if (!this.#listeners.tell(this.raft.status)) return
    this.#reads.askAgain()
    this.#holdUntil = Number.NEGATIVE_INFINITY
    this.#host.wake()
  }

  #send(message: Message): void {
    const { to } = message
    if (message.type === 'snapshot') {
      this.#snapshots.send(message)
      return
    }
    if (message.type === 'append') this.#news.append(message)
    else this.#host.send(to, encodeMessage(this.#group, message))
  }

  // ---- proposals

  #flushProposals(): void {
    if (!this.#proposals.waiting) return
    const { role, leader, term } = this.raft.status
    if (leader === 0 || this.#host.clock.monotonic() < this.#holdUntil) return
    if (role === 'leader') {
      // While the disk is busy with a batch the next one gathers: that is all the group commit there has to be.
      if (this.#writes >= this.#host.limits.maxWrites) return
      const batch = this.#proposals.take(term)
      const refusal = batch === undefined ? undefined : this.#propose(batch.commands)
      if (batch !== undefined && refusal !== undefined) this.#refused(batch, refusal)
      return
    }
    for (let batch = this.#proposals.take(term); batch !== undefined; batch = this.#proposals.take(term)) {
      const passed = batch
      const item = encodeItem({ kind: 'forward', group: this.#group, commands: batch.commands })
      this.#host.send(leader, item, () => this.#refused(passed, 'lost'))
    }
  }

  #propose(commands: readonly Uint8Array[]): Refusal | undefined {
    const proposed = this.raft.propose(commands.map(data => ({ kind: 'command', data })))
    return typeof proposed === 'string' ? proposed : undefined
  }

  #refused(batch: Batch, reason: Refusal | 'lost'): void {
    this.#proposals.refused(batch, reason)
    this.#hold()
  }

  /** Asks nobody for a moment: the same answer would come. */
  #hold(): void {
    const { clock } = this.#host
    this.#holdUntil = clock.monotonic() + holdMs
    clock.after(holdMs, () => this.#host.wake())
  }

  #forwarded(from: NodeId, commands: readonly Uint8Array[]): void {
    this.#news.interested(from)
    const reason = this.#propose(commands)
    if (reason === undefined) return
    const { session, sequences } = placesOf(commands)
    this.#host.send(from, encodeItem({ kind: 'refused', group: this.#group, reason, session, sequences }))
  }

  // ---- reads

  #ask(id: number, level: 'linearizable' | 'lease'): Refusal | undefined {
    if (level === 'linearizable') this.#distrustLease(id)
    return this.raft.read(id)
  }

  /** In a group with leases the core answers every read by them: one that asks for more makes it ask the others. */
  #distrustLease(read: number): void {
    if (this.#setup.raft.reads === 'lease' && read % 2 === 0) this.raft.dropLease()
  }

  // ---- the disk

  #store(work: AppendWork): void {
    if (work.sync) this.#writes += 1
    this.#host.storage.append(this.#group, work, () => {
      if (this.#ended) return
      if (work.sync) this.#writes -= 1
      for (const message of work.after) if (message.to !== this.#host.self) this.#send(message)
      this.#guard(() => this.raft.appended(work))
      this.#host.wake()
    })
  }

  #guard(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#host.fail(error)
    }
  }

  // ---- the state machine

  #apply(work: ApplyWork): void {
    this.#applyQueue.push(work)
    if (!this.#loading) this.#applyNext()
  }

  #applyNext(): void {
    for (;;) {
      const work = this.#applyQueue.shift()
      if (work === undefined) break
      if (work.snapshot !== undefined) {
        this.#load(work.snapshot)
        return
      }
      this.#applyEntries(work.entries)
    }
    this.#snapshots.takeWhenDue()
  }

  #applyEntries(entries: readonly Entry[]): void {
    let bytes = 0
    for (const entry of entries) {
      if (entry.term > this.#appliedTerm) {
        this.#appliedTerm = entry.term
        this.#proposals.termApplied(entry.term)
      }
      const applied = this.#state.apply(entry)
      this.#applied = entry.index
      bytes += entry.data.length + 32
      if (applied?.kind === 'opened') this.#proposals.opened(applied.token, entry.index)
      else if (applied !== undefined) this.#proposals.applied(applied.session, applied.sequence, applied.outcome)
      if (entry.kind === 'membership') this.#changes.applied(entry)
    }
    this.raft.applied(this.#applied)
    this.#reads.applied(this.#applied)
    this.#snapshots.applied(entries.length, bytes)
  }

  #load({ index, term }: { readonly index: number; readonly term: number }): void {
    this.#loading = true
    this.#snapshots
      .load(index)
      .then(() => {
        this.#loading = false
        if (this.#ended) return
        this.#applied = index
        this.#appliedTerm = term
        this.#proposals.restored(this.#state.sessions)
        this.#proposals.termApplied(term)
        this.raft.applied(index)
        this.#reads.applied(index)
        this.#applyNext()
        this.#host.wake()
      })
      .catch((error: unknown) => this.#host.fail(error))
  }

  // ---- the end

  /** No new calls; leadership goes to whoever is nearest to having everything. Resolves when nothing is open any more. */
  async drain(deadline: number): Promise<void> {
    this.#proposals.stop()
    this.#reads.stop()
    await this.#changes.handOver(deadline)
    await this.watches.until(() => this.#ended || this.open === 0, deadline)
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#snapshots.stop()
    this.#hint.stop()
    this.#news.stop()
    this.#proposals.abandon()
    this.#reads.abandon()
    this.watches.end()
  }
}
