import type { Simulation } from './simulation.js'

/** What may happen to a message. Probabilities from 0 to 1, delays in milliseconds. */
export interface NetworkFaults {
  readonly drop: number
  readonly duplicate: number
  readonly minDelay: number
  readonly maxDelay: number
  /** Messages that take up to ten times `maxDelay`. */
  readonly late: number
}

/** A network between numbered nodes that loses, repeats, delays and reorders messages, and can be cut in any direction. */
export class SimNetwork<M> {
  faults: NetworkFaults = { drop: 0, duplicate: 0, minDelay: 0.1, maxDelay: 1, late: 0 }
  /** Messages that arrived, were lost, were cut off. */
  readonly counts = { delivered: 0, lost: 0, cut: 0 }
  readonly #simulation: Simulation
  readonly #random: () => number
  readonly #handlers = new Map<number, (message: M, from: number) => void>()
  readonly #cuts = new Set<string>()

  constructor(simulation: Simulation) {
    this.#simulation = simulation
    this.#random = simulation.random('network')
  }

  /** Where messages for a node go; without a handler (a node that is down) they are lost. */
  attach(node: number, handler: (message: M, from: number) => void): void {
    this.#handlers.set(node, handler)
  }

  detach(node: number): void {
    this.#handlers.delete(node)
  }

  send(from: number, to: number, message: M): void {
    const { drop, duplicate } = this.faults
    if (this.#random() < drop) {
      this.counts.lost += 1
      return
    }
    this.#carry(from, to, message)
    if (this.#random() < duplicate) this.#carry(from, to, message)
  }

  /** Cuts the way from each node of one list to each of the other; the way back stays. */
  cut(from: readonly number[], to: readonly number[]): void {
    for (const a of from) for (const b of to) if (a !== b) this.#cuts.add(`${a}>${b}`)
  }

  /** Parts the nodes: no way between the two lists. */
  partition(one: readonly number[], other: readonly number[]): void {
    this.cut(one, other)
    this.cut(other, one)
  }

  heal(): void {
    this.#cuts.clear()
  }

  #carry(from: number, to: number, message: M): void {
    const { minDelay, maxDelay, late } = this.faults
    const spread = this.#random() < late ? maxDelay * 10 : maxDelay
    this.#simulation.after(minDelay + this.#random() * (spread - minDelay), () => {
      // A cut takes what is under way, too.
      if (this.#cuts.has(`${from}>${to}`)) {
        this.counts.cut += 1
        return
      }
      const handler = this.#handlers.get(to)
      if (handler === undefined) {
        this.counts.lost += 1
        return
      }
      this.counts.delivered += 1
      handler(message, from)
    })
  }
}
