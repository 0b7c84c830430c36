import { CloudError } from '../../kernel/errors.js'
import { decodeMessage } from '../raft/codec.js'
import type { NodeId } from '../raft/types.js'
import type { Replica } from '../replica.js'
import type { GroupId } from '../storage.js'
import { refuseTwoVoters } from './changes.js'
import { Group } from './group.js'
import type { GroupHost } from './group-host.js'
import { type NodeLimits, nodeDefaults } from './node-limits.js'
import type { GroupOptions, HaNode, NodeOptions } from './node-options.js'
import { decodeFrame, decodeItem, isDriverItem } from './node-wire.js'
import { Outbox } from './outbox.js'
import { withReceived } from './received-snapshot.js'
import { sessionDefaults } from './sessions.js'
import { decodeSnapshotHeader } from './snapshots.js'
import { Ticker } from './ticker.js'

export class RunningNode implements HaNode {
  readonly failed: Promise<Error>
  readonly #options: NodeOptions
  readonly #limits: NodeLimits
  readonly #groups = new Map<GroupId, Group>()
  readonly #dirty = new Set<Group>()
  readonly #outbox: Outbox
  readonly #ticker: Ticker
  readonly #up = new Set<NodeId>()
  /** Nodes whose nonsense was logged already. */
  readonly #malformed = new Set<NodeId>()
  #turnAsked = false
  #closing: Promise<void> | undefined
  #fail: (error: Error) => void = () => undefined

  constructor(options: NodeOptions) {
    const { storage, network, clock, peers, tickMs = 50, electionTicks = 10 } = options
    this.#options = options
    this.#limits = { ...nodeDefaults, ...options.limits }
    this.#outbox = new Outbox(network)
    this.failed = new Promise(resolve => {
      this.#fail = resolve
    })
    storage.failed.then(
      error => this.#failWith(error),
      () => undefined,
    )
    network.onFrame((from, frame) => this.#frame(from, frame))
    network.onPeer((node, state) => this.#peer(node, state))
    network.onBulk(async (from, bytes) => {
      const header = decodeSnapshotHeader(bytes)
      const group = this.#groups.get(header.group)
      if (group === undefined) throw new CloudError('core.ha.unavailable', `group ${header.group} is not open here`)
      return group.receiveSnapshot(from, header)
    })
    for (const [node, address] of peers ?? []) if (node !== network.self) network.setPeer(node, address)
    this.#ticker = new Ticker({
      clock,
      tickMs,
      electionTicks,
      onTick: pace => {
        for (const group of this.#groups.values()) this.#guard(() => group.tick(pace))
      },
    })
  }

  get self(): NodeId {
    return this.#options.node
  }

  get groups(): readonly GroupId[] {
    return [...this.#groups.keys()]
  }

  group(id: GroupId): Replica {
    const group = this.#groups.get(id)
    if (group === undefined) throw new RangeError(`group ${id} is not open on node ${this.self}`)
    return group
  }

  async open(options: GroupOptions): Promise<Replica> {
    const { group: id, machine, first } = options
    const { storage, ids, electionTicks = 10, heartbeatTicks = 2, tickMs = 50 } = this.#options
    if (this.#closing !== undefined) throw new CloudError('core.ha.stopped', 'the node is stopping or has stopped')
    if (this.#groups.has(id)) throw new RangeError(`group ${id} is open already`)
    refuseTwoVoters(first)
    const found = storage.recovered(id)
    const recovered = found === undefined ? await storage.create(id, first) : await withReceived(storage, id, found)
    const seed = Math.floor(ids.random() * 2 ** 32)
    const raft = { ...options.raft, id: this.self, seed, electionTicks, heartbeatTicks }
    const sessions = { ...sessionDefaults, ...options.sessions }
    const host = this.#host(electionTicks * tickMs, () => group)
    const group: Group = new Group(host, { group: id, machine, raft, sessions, recovered })
    await group.load()
    this.#groups.set(id, group)
    host.wake()
    return group
  }

  setPeer(node: NodeId, address: string): void {
    if (node !== this.self) this.#options.network.setPeer(node, address)
  }

  removePeer(node: NodeId): void {
    this.#options.network.removePeer(node)
  }

  close({ withinMs = 5_000 }: { readonly withinMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(withinMs)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  // ---- turns

  #host(electionMs: number, group: () => Group): GroupHost {
    const { storage, network, clock, ids, logger } = this.#options
    return {
      self: this.self,
      storage,
      network,
      clock,
      ids,
      logger,
      limits: this.#limits,
      electionMs,
      send: (to, item, lost) => this.#outbox.add(to, item, lost),
      wake: () => this.#wake(group()),
      fail: error => this.#failWith(error),
    }
  }

  #wake(group: Group): void {
    this.#dirty.add(group)
    if (this.#turnAsked) return
    this.#turnAsked = true
    // After everything that the loop has ready now: what has come in together is done together.
    setImmediate(() => this.#turn())
  }

  #turn(): void {
    this.#turnAsked = false
    const dirty = [...this.#dirty]
    this.#dirty.clear()
    for (const group of dirty) this.#guard(() => group.turn())
    this.#outbox.flush()
  }

  #guard(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#failWith(error)
    }
  }

  // ---- the network

  #frame(from: NodeId, frame: Uint8Array): void {
    try {
      for (const item of decodeFrame(frame)) this.#item(from, item)
    } catch (error) {
      if (!CloudError.is(error, 'core.ha.bad-message')) {
        this.#failWith(error)
        return
      }
      if (this.#malformed.has(from)) return
      this.#malformed.add(from)
      this.#options.logger.error('a node sends what this version does not understand', { from, error })
    }
  }

  #item(from: NodeId, bytes: Buffer): void {
    if (isDriverItem(bytes)) {
      const item = decodeItem(bytes)
      this.#groups.get(item.group)?.item(from, item)
      return
    }
    const { group, message } = decodeMessage(bytes)
    // A member speaks for itself: anything else is a mistake in the addresses.
    if (message.from !== from || message.to !== this.self) return
    this.#groups.get(group)?.step(message)
  }

  #peer(node: NodeId, state: 'up' | 'down'): void {
    if (state === 'up') this.#up.add(node)
    else this.#up.delete(node)
    for (const group of this.#groups.values()) this.#guard(() => group.peer(node, state))
  }

  // ---- the end

  #failWith(cause: unknown): void {
    if (this.#closing !== undefined) return
    const error = cause instanceof Error ? cause : new Error(String(cause))
    this.#options.logger.error('the node stops: it cannot vouch for what it stores any more', {
      node: this.self,
      error,
    })
    this.#closing = this.#end()
    this.#closing.catch(() => undefined)
    this.#fail(error)
  }

  async #close(withinMs: number): Promise<void> {
    const deadline = this.#options.clock.monotonic() + withinMs
    await Promise.all([...this.#groups.values()].map(group => group.drain(deadline)))
    await this.#end()
  }

  async #end(): Promise<void> {
    this.#ticker.stop()
    this.#outbox.flush()
    for (const group of this.#groups.values()) group.end()
    await this.#options.storage.close()
    await this.#options.network.close()
  }
}
