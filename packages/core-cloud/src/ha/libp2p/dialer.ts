import type { Clock } from '../../kernel/clock.js'
import type { Ids } from '../../kernel/ids.js'
import type { NodeId } from '../raft/types.js'

interface Place {
  readonly address: string
  failures: number
  cancel: (() => void) | undefined
  dialing: boolean
}

export interface DialerOptions {
  readonly clock: Clock
  readonly ids: Ids
  /** First pause after a failure, milliseconds; it doubles up to `maxMs`. Half of each pause is random. */
  readonly minMs: number
  readonly maxMs: number
  /** Milliseconds that a node is given to come by itself before it is dialed: two that dial each other are a waste. */
  readonly patienceMs: (node: NodeId) => number
  readonly connected: (node: NodeId) => boolean
  /** Rejects when there is no connection afterwards. */
  readonly dial: (node: NodeId, address: string) => Promise<void>
}

/** Keeps on connecting to the nodes whose address is known. */
export class Dialer {
  readonly #options: DialerOptions
  readonly #places = new Map<NodeId, Place>()
  #stopped = false

  constructor(options: DialerOptions) {
    this.#options = options
  }

  set(node: NodeId, address: string): void {
    if (this.#stopped || this.#places.get(node)?.address === address) return
    this.remove(node)
    const place: Place = { address, failures: 0, cancel: undefined, dialing: false }
    this.#places.set(node, place)
    const patience = this.#options.patienceMs(node)
    if (patience > 0) this.#after(patience, node, place)
    else this.#dial(node, place)
  }

  remove(node: NodeId): void {
    this.#places.get(node)?.cancel?.()
    this.#places.delete(node)
  }

  /** The last connection ended: the first try is soon, the process may be starting again already. */
  lost(node: NodeId): void {
    const place = this.#places.get(node)
    if (place === undefined || place.dialing || place.cancel !== undefined) return
    place.failures = 0
    this.#later(node, place, this.#options.patienceMs(node))
  }

  stop(): void {
    this.#stopped = true
    for (const node of [...this.#places.keys()]) this.remove(node)
  }

  #later(node: NodeId, place: Place, patience = 0): void {
    const { minMs, maxMs, ids } = this.#options
    const pause = Math.min(maxMs, minMs * 2 ** Math.min(place.failures, 16))
    this.#after(patience + pause * (0.5 + ids.random() / 2), node, place)
  }

  #after(ms: number, node: NodeId, place: Place): void {
    place.cancel = this.#options.clock.after(ms, () => {
      place.cancel = undefined
      this.#dial(node, place)
    })
  }

  #dial(node: NodeId, place: Place): void {
    if (this.#options.connected(node)) return
    place.dialing = true
    this.#options.dial(node, place.address).then(
      () => {
        place.dialing = false
        place.failures = 0
        // It may have ended between then and now.
        if (this.#places.get(node) === place && !this.#options.connected(node)) this.#later(node, place)
      },
      () => {
        place.dialing = false
        if (this.#places.get(node) !== place) return
        if (this.#options.connected(node)) return
        place.failures += 1
        this.#later(node, place)
      },
    )
  }
}
