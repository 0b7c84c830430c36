import type { Clock } from '../../kernel/clock.js'
import type { Ids } from '../../kernel/ids.js'
import type { Logger } from '../../kernel/logger.js'
import type { HaNetwork } from '../network.js'
import type { NodeId } from '../raft/types.js'
import { decodeSwim, encodeSwim } from './swim-codec.js'
import { Swim } from './swim-core.js'
import type { SwimOptions } from './swim-options.js'
import type { MemberHealth } from './swim-types.js'

/** First byte of every frame: whose it is. Frames of another channel are dropped: a newer node speaks of something else. */
const channels = { user: Buffer.of(0), swim: Buffer.of(1) } as const

export interface FailureDetectionOptions
  extends Omit<SwimOptions, 'self' | 'incarnation' | 'random'>,
    Partial<Pick<SwimOptions, 'incarnation'>> {
  readonly network: HaNetwork
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  /** Milliseconds of a tick, default 100: a node that answers nobody is suspected after some ten ticks. */
  readonly tickMs?: number
}

/** A network whose `onPeer` also tells of nodes that are connected and do not answer. */
export interface WatchedNetwork extends HaNetwork {
  /** What this node thinks of a node, for people and for balancing. */
  healthOf(node: NodeId): MemberHealth | undefined
  members(): readonly { readonly node: NodeId; readonly health: MemberHealth }[]
  /** 0 when this node trusts its own senses; see `Swim.doubt`. */
  readonly doubt: number
}

/**
 * Puts failure detection on any network; every node of the cluster has to have it. A peer is `up` while it is connected
 * and not found dead: a hang, a one-way partition and a half-open connection become `down` in some seconds, before TCP
 * notices.
 */
export function detectFailures(options: FailureDetectionOptions): WatchedNetwork {
  return new DetectingNetwork(options)
}

class DetectingNetwork implements WatchedNetwork {
  readonly self: NodeId
  readonly #network: HaNetwork
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #tickMs: number
  readonly #swim: Swim
  readonly #connected = new Set<NodeId>()
  readonly #up = new Set<NodeId>()
  #peer: (node: NodeId, state: 'up' | 'down') => void = () => undefined
  #frame: (from: NodeId, frame: Uint8Array) => void = () => undefined
  #cancel: () => void
  #tickAt: number
  #closed = false

  constructor({ network, clock, ids, logger, tickMs = 100, incarnation, ...rest }: FailureDetectionOptions) {
    this.self = network.self
    this.#network = network
    this.#clock = clock
    this.#logger = logger
    this.#tickMs = tickMs
    this.#swim = new Swim({
      ...rest,
      self: network.self,
      incarnation: incarnation ?? Math.max(0, Math.floor(clock.now())),
      random: () => ids.random(),
    })
    network.onFrame((from, frame) => this.#take(from, frame))
    network.onPeer((node, state) => this.#turned(node, state))
    this.#tickAt = clock.monotonic()
    this.#cancel = clock.after(tickMs, () => this.#tick())
  }

  get address(): string {
    return this.#network.address
  }

  get doubt(): number {
    return this.#swim.doubt
  }

  healthOf(node: NodeId): MemberHealth | undefined {
    return this.#swim.healthOf(node)
  }

  members(): readonly { readonly node: NodeId; readonly health: MemberHealth }[] {
    return this.#swim.members()
  }

  send(to: NodeId, pieces: readonly Uint8Array[]): boolean {
    return this.#network.send(to, [channels.user, ...pieces])
  }

  onFrame(handler: (from: NodeId, frame: Uint8Array) => void): void {
    this.#frame = handler
  }

  onPeer(handler: (node: NodeId, state: 'up' | 'down') => void): void {
    this.#peer = handler
    for (const node of this.#up) handler(node, 'up')
  }

  sendBulk(...args: Parameters<HaNetwork['sendBulk']>): Promise<void> {
    return this.#network.sendBulk(...args)
  }

  onBulk(accept: Parameters<HaNetwork['onBulk']>[0]): void {
    this.#network.onBulk(accept)
  }

  setPeer(node: NodeId, address: string): void {
    this.#network.setPeer(node, address)
  }

  removePeer(node: NodeId): void {
    this.#swim.remove(node)
    this.#network.removePeer(node)
  }

  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true
      this.#cancel()
      this.#swim.leave()
      this.#act()
    }
    await this.#network.close()
  }

  #take(from: NodeId, frame: Uint8Array): void {
    if (frame[0] === 0) this.#frame(from, frame.subarray(1))
    else if (frame[0] === 1 && !this.#closed) {
      try {
        this.#swim.step(from, decodeSwim(frame.subarray(1)))
      } catch (error) {
        this.#logger.warn('a message of failure detection is dropped', { from, error })
        return
      }
      this.#act()
    }
  }

  #turned(node: NodeId, state: 'up' | 'down'): void {
    if (state === 'up') {
      this.#connected.add(node)
      this.#swim.join(node)
      // A new connection is news enough: if it is still dead, that will show again.
      this.#tell(node, true)
    } else {
      this.#connected.delete(node)
      this.#tell(node, false)
    }
    this.#act()
  }

  #tick(): void {
    const now = this.#clock.monotonic()
    // One tick for one timer, however late: what waits to be read meanwhile is read before the next.
    if (now - this.#tickAt > 3 * this.#tickMs) this.#swim.stalled()
    this.#tickAt = now
    this.#swim.tick()
    this.#act()
    if (!this.#closed) this.#cancel = this.#clock.after(this.#tickMs, () => this.#tick())
  }

  #act(): void {
    const { messages, changes } = this.#swim.take()
    for (const { to, message } of messages) this.#network.send(to, [channels.swim, encodeSwim(message)])
    for (const { node, health } of changes) {
      if (health !== 'alive') this.#logger.info(`node ${node} is ${health}`, { node, health, doubt: this.#swim.doubt })
      if (health === 'suspect') continue
      this.#tell(node, health === 'alive' && this.#connected.has(node))
    }
  }

  #tell(node: NodeId, up: boolean): void {
    if (this.#up.has(node) === up) return
    if (up) this.#up.add(node)
    else this.#up.delete(node)
    this.#peer(node, up ? 'up' : 'down')
  }
}
