import type { AppendWork, ApplyWork, Message, Raft, RaftOptions, Recovered, SnapshotMark } from '@aaas/core-cloud/ha'
import type { SimNetwork, Simulation } from '@aaas/testing'
import { copyOf, decode, emptyState, execute, type Output, type RegisterState } from './register.js'

export type Packet = { readonly message: Message; readonly data?: RegisterState }

/** The part of the core that the world needs: a mutant has the same. */
export type RaftClass = new (options: RaftOptions, recovered: Recovered) => Raft

export interface World {
  readonly simulation: Simulation
  readonly network: SimNetwork<Packet>
  readonly RaftClass: RaftClass
  readonly random: () => number
  readonly options: Partial<RaftOptions>
  /** Longest time a write to the disk takes, ms. */
  diskMs: number
  /** Applied entries between two snapshots. */
  readonly snapshotEvery: number
  /** Takes everything a node is about to do, before it does it. */
  readonly watch: {
    applying(node: SimNode, work: ApplyWork): void
    sending(node: SimNode, message: Message): void
    stepped(node: SimNode): void
    life(node: SimNode, what: 'start' | 'crash' | 'pause'): void
  }
}

const tickMs = 10

/** What is on a disk that survives a crash. */
interface Durable extends Recovered {
  readonly state: RegisterState
}

interface Waiting {
  readonly index: number
  readonly term: number
  readonly done: (output: Output | undefined) => void
}

/** One member: a Raft core with a disk that takes its time and forgets what it did not sync, and a state machine. */
export class SimNode {
  raft: Raft | undefined
  state = emptyState()
  appliedIndex = 0
  #durable: Durable
  #disk: AppendWork[] = []
  #applying: ApplyWork[] = []
  #received = new Map<number, RegisterState>()
  #writes: Waiting[] = []
  #reads = new Map<number, { index?: number; key: string; done: (output: Output | undefined) => void }>()
  #lastRead = 0
  #life = 0
  #lastTick = 0
  #pausedUntil = 0
  #inbox: Packet[] = []

  constructor(
    readonly id: number,
    readonly world: World,
    first: SnapshotMark,
  ) {
    const hardState = { term: 0, vote: 0, commit: 0 }
    this.#durable = { hardState, snapshot: first, entries: [], state: emptyState() }
  }

  get up(): boolean {
    return this.raft !== undefined
  }

  get paused(): boolean {
    return this.world.simulation.now < this.#pausedUntil
  }

  start(): void {
    const { simulation, network, RaftClass, options } = this.world
    const { hardState, snapshot, entries, state } = this.#durable
    const commit = Math.max(snapshot.index, Math.min(hardState.commit, snapshot.index + entries.length))
    const recovered = { hardState: { ...hardState, commit }, snapshot, entries }
    this.raft = new RaftClass({ id: this.id, seed: simulation.seed + this.#life, ...options }, recovered)
    this.state = copyOf(state)
    this.appliedIndex = snapshot.index
    this.#life += 1
    this.#lastTick = simulation.now
    network.attach(this.id, packet => this.#receive(packet))
    this.#scheduleTick(this.#life)
    this.world.watch.life(this, 'start')
    this.#pump()
  }

  /** `kill -9`, or a loss of power: of what was under way to the disk any beginning may have arrived. */
  crash(): void {
    if (this.raft === undefined) return
    const { random, network, watch } = this.world
    watch.life(this, 'crash')
    let kept = Math.floor(random() * (this.#disk.length + 1))
    for (const work of this.#disk) {
      if (kept-- > 0) this.#write(work)
      else {
        if (random() < 0.5) this.#write(torn(work, random))
        break
      }
    }
    this.raft = undefined
    this.#life += 1
    this.#disk = []
    this.#applying = []
    this.#inbox = []
    this.#received.clear()
    this.#pausedUntil = 0
    network.detach(this.id)
    for (const { done } of this.#writes) done(undefined)
    for (const { done } of this.#reads.values()) done(undefined)
    this.#writes = []
    this.#reads.clear()
  }

  /** The process stands still; what arrives waits. */
  pause(ms: number): void {
    const { simulation } = this.world
    this.world.watch.life(this, 'pause')
    this.#pausedUntil = simulation.now + ms
    const life = this.#life
    simulation.after(ms, () => {
      if (life !== this.#life || this.raft === undefined || this.paused) return
      // Like a driver: first the time that passed, then what waited.
      this.#tick()
      for (const packet of this.#inbox.splice(0)) this.#receive(packet)
    })
  }

  // ---- clients

  write(data: Uint8Array, done: (output: Output | undefined) => void): boolean {
    if (this.raft === undefined || this.paused) return false
    const proposed = this.raft.propose([{ kind: 'command', data }])
    if (typeof proposed === 'string') return false
    this.#writes.push({ ...proposed, done })
    this.#pump()
    return true
  }

  read(key: string, done: (output: Output | undefined) => void): boolean {
    if (this.raft === undefined || this.paused || this.raft.status.membership.witnesses.includes(this.id)) return false
    const read = ++this.#lastRead
    if (this.raft.read(read) !== undefined) return false
    this.#reads.set(read, { key, done })
    this.#pump()
    return true
  }

  act(change: (raft: Raft) => void): void {
    if (this.raft === undefined || this.paused) return
    change(this.raft)
    this.#pump()
  }

  // ---- the driver

  #scheduleTick(life: number): void {
    const drift = 0.95 + this.world.random() * 0.1
    this.world.simulation.after(tickMs * drift, () => {
      if (life !== this.#life) return
      if (!this.paused) this.#tick()
      this.#scheduleTick(life)
    })
  }

  #tick(): void {
    const { now } = this.world.simulation
    const count = Math.floor((now - this.#lastTick + tickMs / 2) / tickMs)
    this.#lastTick = now
    if (count > 0) this.raft?.tick(count)
    this.#pump()
  }

  #receive(packet: Packet): void {
    if (this.raft === undefined) return
    if (this.paused) {
      this.#inbox.push(packet)
      return
    }
    const { message, data } = packet
    if (message.type !== 'snapshot' || data === undefined) {
      this.raft.step(message)
      this.#pump()
      return
    }
    const life = this.#life
    this.world.simulation.after(1 + this.world.random() * 20, () => {
      if (life !== this.#life || this.raft === undefined) return
      this.#received.set(message.snapshot.index, data)
      this.raft.step(message)
      this.#pump()
    })
  }

  #pump(): void {
    const { raft, world } = this
    if (raft === undefined) return
    for (;;) {
      const { send, append, apply, reads } = raft.ready()
      for (const message of send) this.#send(message)
      if (append !== undefined) {
        this.#disk.push(append)
        if (this.#disk.length === 1) this.#diskTurn()
      }
      if (apply !== undefined) {
        world.watch.applying(this, apply)
        this.#applying.push(apply)
        if (this.#applying.length === 1) this.#applyTurn()
      }
      for (const { read, index } of reads) {
        const waiting = this.#reads.get(read)
        if (waiting !== undefined) waiting.index ??= index
      }
      this.#answerReads()
      if (append === undefined && apply === undefined && send.length === 0 && reads.length === 0) break
    }
    world.watch.stepped(this)
  }

  #send(message: Message): void {
    const { network, watch, simulation } = this.world
    watch.sending(this, message)
    if (message.to === this.id) return
    if (message.type !== 'snapshot') {
      network.send(this.id, message.to, { message })
      return
    }
    // The snapshot on the disk may be newer than the one the core named: then that one goes.
    const { snapshot, state } = this.#durable
    network.send(this.id, message.to, { message: { ...message, snapshot }, data: copyOf(state) })
    const life = this.#life
    const arrived = this.world.random() < 0.7
    const report = (): void => {
      if (life !== this.#life) return
      // A driver that stood still says so afterwards.
      if (this.paused) simulation.after(50, report)
      else this.act(raft => raft.snapshotSent(message.to, arrived))
    }
    simulation.after(50, report)
  }

  #diskTurn(): void {
    const life = this.#life
    const [work] = this.#disk
    if (work === undefined) return
    const ms = work.sync ? 0.2 + this.world.random() * this.world.diskMs : 0
    this.world.simulation.after(ms, () => {
      if (life !== this.#life || this.raft === undefined) return
      this.#disk.shift()
      this.#write(work)
      for (const message of work.after) this.#send(message)
      this.raft.appended(work)
      this.#diskTurn()
      this.#pump()
    })
  }

  #write(work: AppendWork): void {
    const { snapshot, entries, hardState } = work
    let durable = this.#durable
    if (hardState !== undefined) durable = { ...durable, hardState }
    if (snapshot !== undefined) {
      const state = this.#received.get(snapshot.index)
      if (state === undefined) throw new Error(`a snapshot of ${snapshot.index} without data`)
      durable = { ...durable, snapshot, state, entries: [] }
    }
    const first = entries[0]
    if (first !== undefined) {
      const before = durable.entries.filter(entry => entry.index < first.index)
      const after = entries.filter(entry => entry.index > durable.snapshot.index)
      durable = { ...durable, entries: [...before, ...after] }
    }
    this.#durable = durable
  }

  #applyTurn(): void {
    const life = this.#life
    const [work] = this.#applying
    if (work === undefined) return
    this.world.simulation.after(this.world.random() * 2, () => {
      if (life !== this.#life || this.raft === undefined) return
      this.#applying.shift()
      this.#apply(work)
      this.raft.applied(this.appliedIndex)
      this.#maybeSnapshot()
      this.#applyTurn()
      this.#pump()
    })
  }

  #apply({ snapshot, entries }: ApplyWork): void {
    if (snapshot !== undefined) {
      this.state = copyOf(this.#received.get(snapshot.index) ?? emptyState())
      this.appliedIndex = snapshot.index
    }
    for (const entry of entries) {
      // A witness gets places without data: it has no state.
      const command = entry.kind === 'command' && entry.data.length > 0
      const output = command ? execute(this.state, decode(entry.data)) : undefined
      this.appliedIndex = entry.index
      const own = this.#writes.filter(({ index }) => index <= entry.index)
      if (own.length === 0) continue
      this.#writes = this.#writes.filter(({ index }) => index > entry.index)
      // Another leader's entry at the place of ours: ours is lost, or will come again from somewhere.
      for (const { index, term, done } of own) done(index === entry.index && term === entry.term ? output : undefined)
    }
  }

  #answerReads(): void {
    for (const [read, { index, key, done }] of this.#reads) {
      if (index === undefined || index > this.appliedIndex) continue
      this.#reads.delete(read)
      done({ value: this.state.values[key] })
    }
  }

  #maybeSnapshot(): void {
    const { raft, world } = this
    if (raft === undefined || this.appliedIndex - this.#durable.snapshot.index < world.snapshotEvery) return
    const { mark } = raft
    if (mark.index !== this.appliedIndex) return
    const state = copyOf(this.state)
    const life = this.#life
    const keep = Math.floor(world.random() * 15)
    world.simulation.after(world.random() * 30, () => {
      if (life !== this.#life || this.raft === undefined || mark.index <= this.#durable.snapshot.index) return
      const entries = this.#durable.entries.filter(entry => entry.index > mark.index)
      this.#durable = { ...this.#durable, snapshot: mark, state, entries }
      this.raft.compact(mark, keep)
    })
  }
}

/** The beginning of a write: the hard state goes first, of the entries a few. */
function torn(work: AppendWork, random: () => number): AppendWork {
  return {
    ...work,
    snapshot: undefined,
    entries: work.snapshot !== undefined ? [] : work.entries.slice(0, Math.floor(random() * work.entries.length)),
  }
}
