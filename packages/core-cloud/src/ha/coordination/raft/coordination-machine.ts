import { CloudError, type ErrorBody } from '../../../kernel/errors.js'
import type { Holder, KeyChange, KeyEntry } from '../../coordination.js'
import type { StateMachine } from '../../replica.js'
import type { Attempt } from '../lease-driver.js'
import { type KeyLimits, KeySpace } from './key-space.js'
import { LeaseBook, type LeaseLimits } from './lease-book.js'
import { LogicalTime, type TimeState } from './logical-time.js'
import { framed, packet, unframed, unpacked } from './packet.js'

/** What is kept at most. Part of the state: the same on every member of a group. */
export type CoordinationLimits = KeyLimits & LeaseLimits

/** A command, as its packet's head. The value of `put` is the body. */
export type CoordinationCommand =
  /** Becomes the timekeeper. */
  | readonly ['begin-time']
  /** Milliseconds since `begin-time` at index `epoch`, read when the log was applied up to `seen`. */
  | readonly ['time', epoch: number, elapsedMs: number, seen: number]
  | readonly ['acquire', Attempt]
  | readonly ['renew', name: string, owner: string, token: number, ttlMs: number]
  | readonly ['release', name: string, owner: string]
  | readonly ['put', key: string, expect: number | null, ttlMs: number | null]
  | readonly ['delete', key: string, expect: number | null]

type Outcome = { readonly value: unknown } | { readonly error: ErrorBody }

const defaults: CoordinationLimits = {
  maxKeys: 100_000,
  maxBytes: 64 * 1024 * 1024,
  maxChanges: 10_000,
  maxChangeBytes: 16 * 1024 * 1024,
  maxNames: 10_000,
  maxWaiting: 1_000,
}

/** What a snapshot begins with. */
interface SnapshotHead {
  readonly kind: 'aaas-coordination'
  readonly version: 1
  readonly index: number
  readonly time: TimeState
}

/**
 * Leases, locks and keys as a deterministic state machine: all members that apply the same commands have the same state
 * and gave the same tokens. It reads no clock: see {@link LogicalTime}. Give it to a replica, and both to
 * `raftCoordination`.
 */
export class CoordinationMachine implements StateMachine {
  readonly #time = new LogicalTime()
  readonly #leases: LeaseBook
  readonly #keys: KeySpace
  readonly #listeners = new Set<() => void>()
  #applied = 0

  /** @param limits - those left out have their defaults. Members with other limits would come to other states. */
  constructor(limits: Partial<CoordinationLimits> = {}) {
    const all = { ...defaults, ...limits }
    this.#leases = new LeaseBook(this.#time, all)
    this.#keys = new KeySpace(this.#time, all)
  }

  /** Index of the last command. */
  get applied(): number {
    return this.#applied
  }

  /** Whether anything has a lifetime: only then must time go on. */
  get timed(): boolean {
    return this.#leases.size > 0 || this.#keys.timed > 0
  }

  holder(name: string): Holder | undefined {
    return this.#leases.holder(name)
  }

  get(key: string): KeyEntry | undefined {
    return this.#keys.get(key)
  }

  list(folder: string | undefined): readonly KeyEntry[] {
    return this.#keys.list(folder)
  }

  /** Changes of keys behind a revision. @throws CloudError `core.ha.compacted`. */
  changesAfter(revision: number, folder: string | undefined): readonly KeyChange[] {
    return this.#keys.after(revision, folder)
  }

  /** Calls after each command and each restored snapshot. @returns what ends it. */
  onApplied(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  apply(command: Uint8Array, index: number): Uint8Array {
    const { head, body } = unpacked(command)
    this.#applied = index
    const outcome = this.#outcome(head as CoordinationCommand, body, index)
    for (const listener of this.#listeners) listener()
    return packet(outcome)
  }

  /** What `apply` answered. @throws CloudError as the command failed. */
  static result(bytes: Uint8Array): unknown {
    const outcome = unpacked(bytes).head as Outcome
    if ('error' in outcome) throw CloudError.fromBody(outcome.error)
    return outcome.value
  }

  snapshot(): AsyncIterable<Uint8Array> {
    const head: SnapshotHead = { kind: 'aaas-coordination', version: 1, index: this.#applied, time: this.#time.state }
    // Rows and places are never changed, but replaced: the lists alone have to be copied now. Sorted, so that equal states
    // have equal snapshots.
    const lines = [...this.#leases.save()].sort(([a], [b]) => (a < b ? -1 : 1))
    const rows = [...this.#keys.save()].sort((a, b) => (a.key < b.key ? -1 : 1))
    function* packets(): Generator<Uint8Array, void> {
      yield packet(head)
      for (const line of lines) yield packet(['line', ...line])
      for (const { value, ...row } of rows) yield packet(['row', row], value)
    }
    return framed(packets())
  }

  /** @throws CloudError `core.ha.corrupt`, `core.ha.newer-version`; the state is then what it was. */
  async restore(state: AsyncIterable<Uint8Array>): Promise<void> {
    const packets: ReturnType<typeof unpacked>[] = []
    for await (const bytes of unframed(state)) packets.push(unpacked(bytes))
    const head = packets[0]?.head as SnapshotHead | undefined
    if (head?.kind !== 'aaas-coordination')
      throw new CloudError('core.ha.corrupt', 'this is no snapshot of the coordination')
    if (head.version !== 1)
      throw new CloudError('core.ha.newer-version', `a snapshot of the coordination of version ${head.version}`)
    this.#leases.clear()
    this.#keys.clear(head.index)
    this.#time.restore(head.time)
    this.#applied = head.index
    for (const { head: item, body } of packets.slice(1)) {
      const [kind, ...what] = item as readonly unknown[]
      if (kind === 'line') this.#leases.load(...(what as Parameters<LeaseBook['load']>))
      else this.#keys.load({ ...(what[0] as Parameters<KeySpace['load']>[0]), value: Uint8Array.from(body) })
    }
    for (const listener of this.#listeners) listener()
  }

  #outcome(command: CoordinationCommand, body: Uint8Array, index: number): Outcome {
    try {
      return { value: this.#run(command, body, index) ?? null }
    } catch (error) {
      // Thrown on purpose, before anything was changed: the same on every member.
      if (CloudError.is(error)) return { error: error.toJSON() }
      throw error
    }
  }

  #run(command: CoordinationCommand, body: Uint8Array, index: number): unknown {
    switch (command[0]) {
      case 'begin-time':
        this.#time.begin(index)
        return index
      case 'time':
        return this.#advance(command[1], command[2], command[3], index)
      case 'acquire':
        return this.#leases.acquire(command[1], index)
      case 'renew':
        return this.#leases.renew(command[1], command[2], command[3], command[4], index)
      case 'release':
        return this.#leases.release(command[1], command[2], index)
      case 'put':
        // The command's bytes belong to the log, which forgets them sooner.
        this.#keys.put(command[1], Uint8Array.from(body), command[2] ?? undefined, command[3] ?? undefined, index)
        return index
      case 'delete':
        return this.#keys.delete(command[1], command[2] ?? undefined, index)
      default:
        // Of a newer version: this member cannot follow the others any more and has to stop.
        throw new Error(`the coordination does not know the command ${JSON.stringify(command).slice(0, 80)}`)
    }
  }

  #advance(epoch: number, elapsedMs: number, seen: number, index: number): boolean {
    if (!this.#time.advance(epoch, elapsedMs)) return false
    this.#leases.advance(seen, index)
    this.#keys.advance(seen, index)
    return true
  }
}
