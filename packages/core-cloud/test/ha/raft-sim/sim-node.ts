import type { AppendWork, ApplyWork, Message, Raft, RaftOptions, Recovered, SnapshotMark } from '@aaas/core-cloud/ha'
import type { SimNetwork, Simulation } from '@aaas/testing'
import { decode, type Machine, type Output, type RegisterState } from './register.js'
import type { Watch } from './watch.js'
import { WorkDisk } from './work-disk.js'

export type Packet = { readonly message: Message; readonly data?: RegisterState }

/** The part of the core that the world needs: a mutant has the same. */
export type RaftClass = new (options: RaftOptions, recovered: Recovered) => Raft

export interface World {
  readonly simulation: Simulation
  readonly network: SimNetwork<Packet>
  readonly RaftClass: RaftClass
  readonly machine: Machine
  readonly random: () => number
  readonly options: Partial<RaftOptions>
  /** Longest time a write to the disk takes, ms. */
  diskMs: number
  /** Applied entries between two snapshots. */
  readonly snapshotEvery: number
  readonly watch: Watch
}

const tickMs = 10
/** Rounds of work that follow from one event without time passing: more is a core that never comes to rest. */
const maxRounds = 1_000

interface Waiting {
  readonly index: number
  readonly term: number
  readonly done: (output: Output | undefined) => void
}

/**
 * One member: a Raft core with a disk that takes its time and forgets what it did not sync, and a state machine. What is
 * `protected` are a driver's duties: planted bugs neglect them.
 */
export class SimNode {
  raft: Raft | undefined
  state: RegisterState
  appliedIndex = 0
  readonly disk: WorkDisk
  protected lastTick = 0
  /** For the disk, until the process knows it to be durable. */
  #queue: AppendWork[] = []
  #headIsDurable = false
  #applying: ApplyWork[] = []
  #received = new Map<number, RegisterState>()
  #writes: Waiting[] = []
  #reads = new Map<number, { index?: number; key: string; done: (output: Output | undefined) => void }>()
  #lastRead = 0
  #life = 0
  #pausedUntil = 0
  #diskStuckUntil = 0
  /** What came while the process stood still. */
  #waiting: (() => void)[] = []
  #sendsUntil: { left: number; readonly then: () => void } | undefined

  constructor(
    readonly id: number,
    readonly world: World,
    first: SnapshotMark,
  ) {
    this.state = world.machine.empty()
    this.disk = new WorkDisk(first, world.machine.empty())
  }

  get up(): boolean {
    return this.raft !== undefined
  }

  get paused(): boolean {
    return this.world.simulation.now < this.#pausedUntil
  }

  start(): void {
    const { simulation, network, RaftClass, options, machine } = this.world
    const { state, snapshot } = this.disk
    this.raft = new RaftClass({ id: this.id, seed: simulation.seed + this.#life, ...options }, this.disk)
    this.state = machine.copy(state)
    this.appliedIndex = snapshot.index
    this.#life += 1
    this.lastTick = simulation.now
    network.attach(this.id, packet => this.#receive(packet))
    this.#scheduleTick(this.#life)
    this.world.watch.life(this, 'start')
    this.pump()
  }

  /** `kill -9`, or a loss of power: of what was under way to the disk any beginning may have arrived. */
  crash(): void {
    if (this.raft === undefined) return
    const { random, network, watch } = this.world
    watch.life(this, 'crash')
    const onTheWay = this.#headIsDurable ? this.#queue.slice(1) : this.#queue
    let kept = Math.floor(random() * (onTheWay.length + 1))
    for (const work of onTheWay) {
      if (kept-- > 0) this.persist(work)
      else {
        if (random() < 0.5) this.disk.tear(work, random)
        break
      }
    }
    this.raft = undefined
    this.#life += 1
    this.#queue = []
    this.#headIsDurable = false
    this.#applying = []
    this.#waiting = []
    this.#received.clear()
    this.#pausedUntil = 0
    this.#diskStuckUntil = 0
    this.#sendsUntil = undefined
    network.detach(this.id)
    const open = [...this.#writes, ...this.#reads.values()]
    this.#writes = []
    this.#reads.clear()
    for (const { done } of open) done(undefined)
  }

  /** The process stands still; what arrives waits. */
  pause(ms: number): void {
    if (this.raft === undefined) return
    const { simulation } = this.world
    this.world.watch.life(this, 'pause')
    this.#pausedUntil = simulation.now + ms
    const life = this.#life
    simulation.after(ms, () => {
      if (life !== this.#life || this.raft === undefined || this.paused) return
      this.catchUp(this.#waiting.splice(0))
    })
  }

  /** The disk takes what it is given and does not come to an end with it. */
  stickDisk(ms: number): void {
    this.#diskStuckUntil = this.world.simulation.now + ms
  }

  /** Calls `then` as soon as so many more appends with entries have left: the rest of the round does not. */
  afterAppends(count: number, then: () => void): void {
    this.#sendsUntil = { left: count, then }
  }

  // ---- clients

  write(data: Uint8Array, done: (output: Output | undefined) => void): boolean {
    if (this.raft === undefined || this.paused) return false
    const proposed = this.raft.propose([{ kind: 'command', data }])
    if (typeof proposed === 'string') return false
    this.#writes.push({ ...proposed, done })
    this.pump()
    return true
  }

  /** A read that reaches a process that stands still waits with everything else. */
  read(key: string, done: (output: Output | undefined) => void): boolean {
    if (this.raft === undefined || this.raft.status.membership.witnesses.includes(this.id)) return false
    this.#awake(raft => {
      const read = ++this.#lastRead
      if (raft.read(read) === undefined) this.#reads.set(read, { key, done })
      else done(undefined)
    })
    return true
  }

  act(change: (raft: Raft) => void): void {
    if (this.raft === undefined || this.paused) return
    change(this.raft)
    this.pump()
  }

  // ---- the duties of a driver

  /** Puts a work on the disk. */
  protected persist(work: AppendWork): void {
    const { last } = this.disk
    this.disk.write(work, this.#received)
    this.world.watch.wrote(this, work, last)
  }

  /** The process goes on after a stop: first the time that passed, only then what waited. */
  protected catchUp(waiting: readonly (() => void)[]): void {
    this.tick()
    for (const run of waiting) run()
  }

  /** A work is handed to the disk. */
  protected accept(_work: AppendWork): void {
    // Its `after` messages wait until it is durable.
  }

  /** What a snapshot holds: nothing that changes later. */
  protected stateForSnapshot(): RegisterState {
    return this.world.machine.copy(this.state)
  }

  /** A read waits until the state has everything of its index. */
  protected readable(index: number): boolean {
    return index <= this.appliedIndex
  }

  protected send(message: Message): void {
    const { network, watch } = this.world
    const until = this.#sendsUntil
    if (until !== undefined && message.type === 'append' && message.entries.length > 0 && until.left-- === 0) {
      const life = this.#life
      this.#sendsUntil = undefined
      until.then()
      if (life !== this.#life) return
    }
    watch.sending(this, message)
    if (message.to === this.id) return
    if (message.type === 'snapshot') this.#sendSnapshot(message)
    else network.send(this.id, message.to, { message })
  }

  protected pump(): void {
    const { world } = this
    const life = this.#life
    for (let round = 0; this.raft !== undefined && life === this.#life; round++) {
      if (round === maxRounds) {
        world.watch.flaw(`node ${this.id} never comes to rest`)
        return
      }
      const { send, append, apply, reads } = this.raft.ready()
      if (append !== undefined) {
        this.#queue.push(append)
        this.accept(append)
        if (this.#queue.length === 1) this.#diskTurn()
      }
      this.#sendAll(send)
      if (life !== this.#life) return
      if (apply !== undefined) {
        world.watch.applying(this, apply)
        this.#applying.push(apply)
        if (this.#applying.length === 1) this.#applyTurn()
      }
      for (const { read, index } of reads) {
        const waiting = this.#reads.get(read)
        if (waiting !== undefined) waiting.index ??= index
      }
      if (this.#reads.size > 0) this.#answerReads()
      if (append === undefined && apply === undefined && send.length === 0 && reads.length === 0) break
    }
    world.watch.stepped(this)
  }

  // ---- inside

  #scheduleTick(life: number): void {
    const drift = 0.95 + this.world.random() * 0.1
    this.world.simulation.after(tickMs * drift, () => {
      if (life !== this.#life) return
      if (!this.paused) this.tick()
      this.#scheduleTick(life)
    })
  }

  protected tick(): void {
    const { now } = this.world.simulation
    const count = Math.floor((now - this.lastTick + tickMs / 2) / tickMs)
    this.lastTick = now
    if (count > 0) this.raft?.tick(count)
    this.pump()
  }

  #receive(packet: Packet): void {
    const { message, data } = packet
    if (message.type !== 'snapshot' || data === undefined) this.#awake(raft => raft.step(message))
    else {
      const life = this.#life
      this.world.simulation.after(1 + this.world.random() * 20, () => {
        if (life !== this.#life) return
        this.#received.set(message.snapshot.index, data)
        this.#awake(raft => raft.step(message))
      })
    }
  }

  /** Now, or when the process goes on; not in another life. */
  #awake(run: (raft: Raft) => void): void {
    if (this.raft === undefined) return
    if (!this.paused) {
      run(this.raft)
      this.pump()
      return
    }
    const life = this.#life
    this.#waiting.push(() => {
      if (life === this.#life) this.#awake(run)
    })
  }

  /** Ends early when a message was the last one of this life. */
  #sendAll(messages: readonly Message[]): void {
    const life = this.#life
    for (const message of messages) {
      this.send(message)
      if (life !== this.#life) return
    }
  }

  #sendSnapshot(message: Extract<Message, { type: 'snapshot' }>): void {
    const { network, simulation, machine } = this.world
    // The snapshot on the disk may be newer than the one the core named: then that one goes.
    const { snapshot, state } = this.disk
    network.send(this.id, message.to, { message: { ...message, snapshot }, data: machine.copy(state) })
    const life = this.#life
    const arrived = this.world.random() < 0.7
    simulation.after(50, () => {
      if (life === this.#life) this.#awake(raft => raft.snapshotSent(message.to, arrived))
    })
  }

  #diskTurn(): void {
    const life = this.#life
    const [work] = this.#queue
    if (work === undefined) return
    const { simulation } = this.world
    const stuck = Math.max(0, this.#diskStuckUntil - simulation.now)
    const ms = work.sync ? stuck + 0.2 + this.world.random() * this.world.diskMs : 0
    simulation.after(ms, () => {
      if (life !== this.#life || this.raft === undefined) return
      this.persist(work)
      this.#headIsDurable = true
      this.#awake(raft => {
        this.#queue.shift()
        this.#headIsDurable = false
        this.#sendAll(work.after)
        if (life !== this.#life) return
        raft.appended(work)
        this.#diskTurn()
      })
    })
  }

  #applyTurn(): void {
    const life = this.#life
    const [work] = this.#applying
    if (work === undefined) return
    this.world.simulation.after(this.world.random() * 2, () => {
      if (life !== this.#life) return
      this.#awake(raft => {
        this.#applying.shift()
        this.#apply(work)
        raft.applied(this.appliedIndex)
        this.#maybeSnapshot()
        this.#applyTurn()
      })
    })
  }

  #apply({ snapshot, entries }: ApplyWork): void {
    const { machine, watch } = this.world
    if (snapshot !== undefined) {
      this.state = machine.copy(this.#received.get(snapshot.index) ?? machine.empty())
      this.appliedIndex = snapshot.index
      watch.applied(this, snapshot.index)
    }
    for (const entry of entries) {
      // A witness gets places without data: it has no state.
      const command = entry.kind === 'command' && entry.data.length > 0
      const output = command ? machine.execute(this.state, decode(entry.data), entry.index) : undefined
      this.appliedIndex = entry.index
      watch.applied(this, entry.index)
      const own = this.#writes.filter(({ index }) => index <= entry.index)
      if (own.length === 0) continue
      this.#writes = this.#writes.filter(({ index }) => index > entry.index)
      // Another leader's entry at the place of ours: ours is lost, or will come again from somewhere.
      for (const { index, term, done } of own) done(index === entry.index && term === entry.term ? output : undefined)
    }
  }

  #answerReads(): void {
    for (const [read, { index, key, done }] of this.#reads) {
      if (index === undefined || !this.readable(index)) continue
      this.#reads.delete(read)
      done({ value: this.state.values[key] })
    }
  }

  #maybeSnapshot(): void {
    const { raft, world, disk } = this
    if (raft === undefined || this.appliedIndex - disk.snapshot.index < world.snapshotEvery) return
    const { mark } = raft
    if (mark.index !== this.appliedIndex) return
    const state = this.stateForSnapshot()
    const life = this.#life
    const keep = Math.floor(world.random() * 15)
    world.simulation.after(world.random() * 30, () => {
      if (life !== this.#life || this.raft === undefined || mark.index <= disk.snapshot.index) return
      // A received snapshot is applied before its mark is on the disk: what comes later in the queue must stay later.
      if (mark.index > disk.last) return
      disk.compact(mark, state)
      this.raft.compact(mark, keep)
    })
  }
}
