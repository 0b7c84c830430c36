import { initialMembership, type NodeId, type Replica, type StateMachine } from '@aaas/core-cloud/ha'
import { type Logger, silentLogger } from '@aaas/core-cloud/kernel'
import { ManualClock, seededIds } from '@aaas/testing'
import { MemoryHub } from '../../src/ha/memory-network.js'
import { MemoryHome, MemoryStorage } from '../../src/ha/memory-storage.js'
import { openNode } from '../../src/ha/node/node.js'
import type { NodeLimits } from '../../src/ha/node/node-limits.js'
import type { GroupOptions, HaNode } from '../../src/ha/node/node-options.js'

/** Registers and a list of everything that was applied: twice is visible. */
export class Registers implements StateMachine {
  values = new Map<string, number>()
  /** Commands in the order of their being applied, with their indexes. */
  readonly log: [number, string][] = []

  apply(command: Uint8Array, index: number): Uint8Array {
    const text = Buffer.from(command).toString('utf8')
    this.log.push([index, text])
    const { key, add, put, expected } = JSON.parse(text) as {
      key: string
      add?: number
      put?: number
      expected?: number | null
    }
    const before = this.values.get(key)
    const fits = expected === undefined || before === (expected ?? undefined)
    if (add !== undefined) this.values.set(key, (before ?? 0) + add)
    else if (put !== undefined && fits) this.values.set(key, put)
    return Buffer.from(JSON.stringify({ before, ok: fits, value: this.values.get(key) }))
  }

  async *snapshot(): AsyncIterable<Uint8Array> {
    const bytes = Buffer.from(JSON.stringify([...this.values]))
    for (let at = 0; at < bytes.length; at += 1_000) yield bytes.subarray(at, at + 1_000)
  }

  async restore(state: AsyncIterable<Uint8Array>): Promise<void> {
    const parts: Uint8Array[] = []
    for await (const part of state) parts.push(part)
    this.values = new Map(JSON.parse(Buffer.concat(parts).toString('utf8')) as [string, number][])
  }
}

export function command(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value))
}

export function answer(result: Uint8Array): { before?: number; ok: boolean; value?: number } {
  return JSON.parse(Buffer.from(result).toString('utf8')) as { before?: number; ok: boolean; value?: number }
}

export interface Member {
  readonly node: HaNode
  readonly machine: Registers
  readonly storage: MemoryStorage
  readonly replica: Replica
}

export interface ClusterOptions {
  readonly voters?: readonly NodeId[]
  readonly seed?: number
  readonly limits?: Partial<NodeLimits>
  readonly group?: Partial<GroupOptions>
  readonly hub?: MemoryHub
  readonly logger?: Logger
}

/** Nodes in one process on one clock that moves when it is told, a network and disks in memory. */
export class NodeCluster {
  readonly clock = new ManualClock()
  readonly hub: MemoryHub
  readonly members = new Map<NodeId, Member>()
  readonly #homes = new Map<NodeId, MemoryHome>()
  readonly #options: ClusterOptions
  #starts = 0

  constructor(options: ClusterOptions = {}) {
    this.#options = options
    this.hub = options.hub ?? new MemoryHub()
  }

  get voters(): readonly NodeId[] {
    return this.#options.voters ?? [1, 2, 3]
  }

  static async open(options: ClusterOptions = {}): Promise<NodeCluster> {
    const cluster = new NodeCluster(options)
    for (const id of cluster.voters) await cluster.start(id)
    await cluster.leader()
    return cluster
  }

  async start(id: NodeId): Promise<Member> {
    const home = this.#homes.get(id) ?? new MemoryHome()
    this.#homes.set(id, home)
    const storage = new MemoryStorage(home)
    const network = this.hub.join(id)
    const machine = new Registers()
    this.#starts += 1
    const node = await openNode({
      node: id,
      storage,
      network,
      clock: this.clock,
      ids: seededIds((this.#options.seed ?? 1) * 1_000 + this.#starts),
      logger: this.#options.logger ?? silentLogger,
      groups: [{ group: 1, machine, first: initialMembership({ voters: this.voters }), ...this.#options.group }],
      limits: this.#options.limits ?? {},
    })
    const member = { node, machine, storage, replica: node.group(1) }
    this.members.set(id, member)
    for (const [other, { node: far }] of this.members) {
      if (other === id) continue
      node.setPeer(other, this.addressOf(other))
      far.setPeer(id, network.address)
    }
    return member
  }

  addressOf(id: NodeId): string {
    return this.hub.at(id)?.address ?? ''
  }

  /** As `kill -9`: nothing is said, nothing is flushed. */
  async kill(id: NodeId): Promise<void> {
    const member = this.at(id)
    this.members.delete(id)
    member.storage.cut()
    this.hub.leave(id)
    await member.node.close({ withinMs: 0 })
  }

  at(id: NodeId): Member {
    const member = this.members.get(id)
    if (member === undefined) throw new Error(`node ${id} is not running`)
    return member
  }

  /** Lets time pass until it is so; at most a virtual minute. */
  async until(what: string, condition: () => boolean, ms = 60_000): Promise<void> {
    for (let passed = 0; passed <= ms; passed += 5) {
      if (condition()) return
      await this.clock.pass(5)
    }
    throw new Error(`never: ${what}`)
  }

  /** Lets time pass until the promise is settled. */
  async wait<T>(promise: Promise<T>): Promise<T> {
    let settled = false
    promise.then(
      () => {
        settled = true
      },
      () => {
        settled = true
      },
    )
    await this.until('the promise settles', () => settled)
    return promise
  }

  async leader(): Promise<NodeId> {
    let found: NodeId = 0
    await this.until('there is a leader that all voters know', () => {
      const statuses = [...this.members.values()].map(({ replica }) => replica.status)
      const leading = statuses.find(({ role }) => role === 'leader')
      found = leading?.id ?? 0
      const voters = statuses.filter(({ id }) => leading?.membership.voters.includes(id))
      return found !== 0 && voters.every(({ leader }) => leader === found)
    })
    return found
  }

  async follower(): Promise<NodeId> {
    const leader = await this.leader()
    return this.voters.find(id => id !== leader && this.members.has(id)) as NodeId
  }

  propose(id: NodeId, value: object): Promise<{ readonly index: number; readonly result: Uint8Array }> {
    return this.at(id).replica.propose(command(value))
  }

  async close(): Promise<void> {
    for (const { node } of this.members.values()) await node.close({ withinMs: 0 })
  }
}
