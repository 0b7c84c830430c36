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
  /** By sender: who does not hear it. */
  readonly #cuts = new Map<number, Set<number>>()
  readonly #lags = new Map<number, number>()

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
    for (const a of from) {
      const deaf = this.#cuts.get(a) ?? new Set()
      for (const b of to) if (a !== b) deaf.add(b)
      this.#cuts.set(a, deaf)
    }
  }

  /** Parts the nodes: no way between the two lists. */
  partition(one: readonly number[], other: readonly number[]): void {
    this.cut(one, other)
    this.cut(other, one)
  }

  /** Everything to and from a node takes so much longer. */
  lag(node: number, ms: number): void {
    this.#lags.set(node, ms)
  }

  /** No cuts and no lags any more, anywhere or to and from one node. */
  heal(node?: number): void {
    if (node === undefined) {
      this.#cuts.clear()
      this.#lags.clear()
      return
    }
    this.#cuts.delete(node)
    for (const deaf of this.#cuts.values()) deaf.delete(node)
    this.#lags.delete(node)
  }

  #carry(from: number, to: number, message: M): void {
    const { minDelay, maxDelay, late } = this.faults
    const spread = this.#random() < late ? maxDelay * 10 : maxDelay
    const lag = this.#lags.size === 0 ? 0 : (this.#lags.get(from) ?? 0) + (this.#lags.get(to) ?? 0)
    this.#simulation.after(lag + minDelay + this.#random() * (spread - minDelay), () => {
      // A cut takes what is under way, too.
      if (this.#cuts.size > 0 && this.#cuts.get(from)?.has(to) === true) {
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
