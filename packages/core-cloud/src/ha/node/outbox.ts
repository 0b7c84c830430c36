import type { HaNetwork } from '../network.js'
import type { NodeId } from '../raft/types.js'
import { encodeFrame } from './node-wire.js'

/** Bytes after which a frame goes without waiting for the end of the turn. */
const maxFrame = 4 * 1024 * 1024

interface Waiting {
  items: Uint8Array[]
  lost: (() => void)[]
  bytes: number
}

/** What the groups of a node have for the other nodes in one turn: one frame for each. */
export class Outbox {
  readonly #network: HaNetwork
  readonly #waiting = new Map<NodeId, Waiting>()

  constructor(network: HaNetwork) {
    this.#network = network
  }

  /** @param lost - called when it is sure that it was not sent. */
  add(to: NodeId, item: Uint8Array, lost?: () => void): void {
    let waiting = this.#waiting.get(to)
    if (waiting === undefined) {
      waiting = { items: [], lost: [], bytes: 0 }
      this.#waiting.set(to, waiting)
    }
    waiting.items.push(item)
    waiting.bytes += item.length
    if (lost !== undefined) waiting.lost.push(lost)
    if (waiting.bytes >= maxFrame) this.#send(to, waiting)
  }

  flush(): void {
    for (const [to, waiting] of this.#waiting) this.#send(to, waiting)
  }

  #send(to: NodeId, { items, lost }: Waiting): void {
    this.#waiting.delete(to)
    if (!this.#network.send(to, encodeFrame(items))) for (const tell of lost) tell()
  }
}
