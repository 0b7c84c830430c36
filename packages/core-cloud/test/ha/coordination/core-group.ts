import { type Clock, CloudError } from '@aaas/core-cloud/kernel'
import { initialMembership, Raft, type Recovered, type Replica, type StateMachine } from '../../../src/ha/index.js'
import type { AppendWork, Entry, HardState, Message, Ready } from '../../../src/ha/raft/types.js'

const tickMs = 50
const hopMs = 1
const emptyHard: HardState = { term: 0, vote: 0, commit: 0 }

interface Waiting {
  readonly node: CoreReplica
  readonly done: (outcome: { readonly index: number; readonly result: Uint8Array }) => void
}

/**
 * A group of real Raft cores in one process, with a network and a disk that are a delay on a clock: the smallest thing
 * that is a `Replica`. A proposal goes to whoever leads; a leader that is lost leaves it with an unknown outcome.
 */
export class CoreGroup {
  readonly members: CoreReplica[]
  /** Proposals under way, by their bytes: entries carry no identity here. */
  readonly waiting = new Map<Uint8Array, Waiting>()
  readonly #cut = new Set<number>()

  constructor(
    readonly clock: Clock,
    machines: readonly StateMachine[],
  ) {
    const voters = machines.map((_, at) => at + 1)
    this.members = machines.map((machine, at) => new CoreReplica(this, at + 1, voters, machine))
  }

  get leader(): CoreReplica | undefined {
    return this.members.find(
      member => member.running && !member.paused && member.status.role === 'leader' && !this.#cut.has(member.id),
    )
  }

  /** No messages to or from a member. */
  isolate(id: number): void {
    this.#cut.add(id)
  }

  heal(): void {
    this.#cut.clear()
  }

  carry(message: Message): void {
    if (this.#cut.has(message.from) || this.#cut.has(message.to)) return
    this.clock.after(hopMs, () => this.members[message.to - 1]?.receive(message))
  }

  close(): void {
    for (const member of this.members) member.stop()
  }
}

export class CoreReplica implements Replica {
  running = true
  /** Stands still: no ticks, and what is sent to it is lost. */
  paused = false
  readonly #group: CoreGroup
  readonly #machine: StateMachine
  readonly #listeners = new Set<(status: Raft['status']) => void>()
  readonly #disk: { hard: HardState; entries: Entry[]; readonly snapshot: Recovered['snapshot'] }
  readonly #reads = new Map<number, (index: number) => void>()
  #reading = 0
  #raft: Raft
  #cancelTick: () => void = () => undefined

  constructor(
    group: CoreGroup,
    readonly id: number,
    voters: readonly number[],
    machine: StateMachine,
  ) {
    this.#group = group
    this.#machine = machine
    this.#disk = {
      hard: emptyHard,
      entries: [],
      snapshot: { index: 0, term: 0, membership: initialMembership({ voters }) },
    }
    this.#raft = this.#open()
  }

  get status(): Raft['status'] {
    return this.#raft.status
  }

  async propose(
    command: Uint8Array,
    { deadline = Number.POSITIVE_INFINITY }: { readonly deadline?: number } = {},
  ): Promise<{ readonly index: number; readonly result: Uint8Array }> {
    const data = Uint8Array.from(command)
    const taken = await this.#until(deadline, () => {
      const { leader } = this.#group
      if (leader === undefined || typeof leader.#raft.propose([{ kind: 'command', data }]) === 'string')
        return undefined
      return leader
    })
    if (taken === undefined) throw new CloudError('core.ha.unavailable', 'no leader')
    taken.#drive()
    let outcome: { readonly index: number; readonly result: Uint8Array } | undefined
    this.#group.waiting.set(data, { node: this, done: value => (outcome = value) })
    const answered = await this.#until(Math.min(deadline, this.#group.clock.now() + 3_000), () => outcome)
    this.#group.waiting.delete(data)
    if (answered === undefined) throw new CloudError('core.ha.outcome-unknown', 'no answer')
    return answered
  }

  async read(level = 'linearizable', { deadline = Number.POSITIVE_INFINITY } = {}): Promise<number> {
    if (level === 'stale') return this.status.applied
    let index: number | undefined
    let askedAt = Number.NEGATIVE_INFINITY
    const end = await this.#until(deadline, () => {
      const { clock } = this.#group
      if (index === undefined && clock.monotonic() - askedAt > 200) {
        askedAt = clock.monotonic()
        this.#reads.set(++this.#reading, found => (index ??= found))
        this.#raft.read(this.#reading)
        this.#drive()
      }
      return index !== undefined && this.status.applied >= index ? index : undefined
    })
    if (end === undefined) throw new CloudError('core.ha.unavailable', 'no majority')
    return end
  }

  onStatus(handler: (status: Raft['status']) => void): () => void {
    this.#listeners.add(handler)
    return () => this.#listeners.delete(handler)
  }

  change = async (): Promise<void> => Promise.reject(new Error('not in this fixture'))

  async transfer(target: number): Promise<void> {
    this.#raft.transfer(target)
    this.#drive()
  }

  receive(message: Message): void {
    if (!this.running || this.paused) return
    this.#raft.step(message)
    this.#drive()
  }

  /** The process dies; what was on its way to the disk is lost. The state machine goes with it. */
  stop(): void {
    this.running = false
    this.#cancelTick()
  }

  #open(): Raft {
    const { hard: hardState, entries, snapshot } = this.#disk
    const raft = new Raft({ id: this.id, seed: this.id * 7919 }, { hardState, snapshot, entries: [...entries] })
    this.#tick()
    return raft
  }

  #tick(): void {
    this.#cancelTick = this.#group.clock.after(tickMs, () => {
      if (!this.paused) {
        this.#raft.tick()
        this.#drive()
      }
      if (this.running) this.#tick()
    })
  }

  #drive(): void {
    for (;;) {
      const ready = this.#raft.ready()
      for (const message of ready.send) this.#group.carry(message)
      if (ready.append !== undefined) this.#store(ready.append)
      for (const { read, index } of ready.reads) this.#reads.get(read)?.(index)
      if (!this.#apply(ready)) break
    }
    for (const listener of this.#listeners) listener(this.status)
  }

  #store(work: AppendWork): void {
    this.#group.clock.after(hopMs, () => {
      if (!this.running) return
      if (work.hardState !== undefined) this.#disk.hard = work.hardState
      const first = work.entries[0]
      if (first !== undefined) this.#disk.entries = [...this.#disk.entries.slice(0, first.index - 1), ...work.entries]
      for (const message of work.after) if (message.to !== this.id) this.#group.carry(message)
      this.#raft.appended(work)
      this.#drive()
    })
  }

  /** @returns whether there may be more. */
  #apply({ apply }: Ready): boolean {
    if (apply === undefined) return false
    for (const { kind, data, index } of apply.entries) {
      if (kind !== 'command') continue
      const result = this.#machine.apply(data, index)
      const waiting = this.#group.waiting.get(data)
      if (waiting?.node === this) waiting.done({ index, result })
    }
    this.#raft.applied(apply.entries.at(-1)?.index ?? 0)
    return true
  }

  /** Asks every few milliseconds of the clock. */
  #until<T>(deadline: number, ask: () => T | undefined): Promise<T | undefined> {
    const { clock } = this.#group
    return new Promise(resolve => {
      const again = (): void => {
        const value = this.running ? ask() : undefined
        if (value !== undefined || clock.now() >= deadline) resolve(value)
        else clock.after(4, again)
      }
      again()
    })
  }
}
