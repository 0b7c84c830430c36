import { SimNetwork, Simulation } from '@aaas/testing'
import { Swim } from '../../src/ha/membership/swim-core.js'
import type { SwimOptions } from '../../src/ha/membership/swim-options.js'
import type { SwimMessage } from '../../src/ha/membership/swim-types.js'

export interface SwimWorldOptions extends Partial<SwimOptions> {
  readonly seed: number
  readonly nodes: number
  /** Part of the messages that is lost. */
  readonly drop?: number
}

/** When one node found another dead or alive again. Milliseconds. */
export interface Verdict {
  readonly at: number
  readonly by: number
  readonly node: number
  readonly health: 'alive' | 'suspect' | 'dead'
}

interface SimNode {
  readonly swim: Swim
  /** Before this time the process does nothing: what comes waits. */
  stuckUntil: number
  /** Before this time nothing is read, though the timer is on time. */
  unreadUntil: number
  readonly inbox: { readonly from: number; readonly message: SwimMessage }[]
  alive: boolean
}

const tickMs = 100

/** Failure detectors on a simulated network. A slow node reads its messages and its timer late, as a busy process does. */
export class SwimWorld {
  readonly simulation: Simulation
  readonly network: SimNetwork<SwimMessage>
  readonly verdicts: Verdict[] = []
  readonly #nodes = new Map<number, SimNode>()

  constructor({ seed, nodes, drop = 0, ...options }: SwimWorldOptions) {
    this.simulation = new Simulation(seed)
    this.network = new SimNetwork(this.simulation)
    this.network.faults = { drop, duplicate: 0.01, minDelay: 0.2, maxDelay: 5, late: 0.02 }
    for (let id = 1; id <= nodes; id++) this.start(id, options)
    for (const { swim } of this.#nodes.values()) for (let id = 1; id <= nodes; id++) swim.join(id)
  }

  start(id: number, options: Partial<SwimOptions> = {}): Swim {
    const random = this.simulation.random(`swim ${id} ${this.simulation.now}`)
    const swim = new Swim({ self: id, incarnation: Math.floor(this.simulation.now), random, ...options })
    const node: SimNode = { swim, stuckUntil: 0, unreadUntil: 0, inbox: [], alive: true }
    this.#nodes.set(id, node)
    this.network.attach(id, (message, from) => {
      node.inbox.push({ from, message })
      this.#when(node, () => this.#read(id, node))
    })
    let tickAt = this.simulation.now
    const tick = (): void => {
      if (!node.alive) return
      this.#when(node, () => {
        // As the driver does it: the timer comes first, what waits in the sockets is read after it.
        if (this.simulation.now - tickAt > 3 * tickMs) swim.stalled()
        tickAt = this.simulation.now
        swim.tick()
        this.#act(id, node)
      })
      // A timer that fires late is set again from then.
      this.simulation.after(Math.max(tickMs, node.stuckUntil - this.simulation.now + tickMs), tick)
    }
    this.simulation.after(random() * tickMs, tick)
    return swim
  }

  kill(id: number): void {
    const node = this.#nodes.get(id) as SimNode
    node.alive = false
    this.network.detach(id)
  }

  /** From now on this node stands still for up to `mostMs`, again and again. */
  makeSlow(id: number, mostMs: number): void {
    const node = this.#nodes.get(id) as SimNode
    const random = this.simulation.random(`slow ${id}`)
    const again = (): void => {
      const stop = random() * mostMs
      node.stuckUntil = this.simulation.now + stop
      this.simulation.after(stop + 20 + random() * 200, again)
    }
    again()
  }

  /** From now on this node reads its messages up to `mostMs` late, again and again, while its timer is on time. */
  makeDeafish(id: number, mostMs: number): void {
    const node = this.#nodes.get(id) as SimNode
    const random = this.simulation.random(`deafish ${id}`)
    const again = (): void => {
      const stop = random() * mostMs
      node.unreadUntil = this.simulation.now + stop
      this.simulation.after(stop, () => this.#read(id, node))
      this.simulation.after(stop + 20 + random() * 200, again)
    }
    again()
  }

  swim(id: number): Swim {
    return (this.#nodes.get(id) as SimNode).swim
  }

  /** Verdicts of death on nodes that live, by nodes that live. */
  falseDeaths(dead: readonly number[] = []): Verdict[] {
    return this.verdicts.filter(
      ({ health, node, by }) => health === 'dead' && !dead.includes(node) && !dead.includes(by),
    )
  }

  #when(node: SimNode, run: () => void): void {
    const wait = node.stuckUntil - this.simulation.now
    if (wait <= 0) run()
    else this.simulation.after(wait, () => this.#when(node, run))
  }

  #read(id: number, node: SimNode): void {
    if (this.simulation.now < node.unreadUntil) return
    for (const { from, message } of node.inbox.splice(0)) {
      if (!node.alive) return
      node.swim.step(from, message)
      this.#act(id, node)
    }
  }

  #act(id: number, node: SimNode): void {
    const { messages, changes } = node.swim.take()
    if (!node.alive) return
    for (const { to, message } of messages) this.network.send(id, to, message)
    for (const { node: about, health } of changes) {
      this.verdicts.push({ at: this.simulation.now, by: id, node: about, health })
    }
  }
}
