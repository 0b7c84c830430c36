import { initialMembership, Raft } from '@aaas/core-cloud/ha'
import { SimNetwork, Simulation } from '@aaas/testing'
import { RaftChecks } from './raft-checks.js'
import { RaftClients } from './raft-clients.js'
import { type FaultKind, faultKinds, leaderOf, scheduleFaults, tidyMembership, weightedKinds } from './raft-faults.js'
import { traced } from './raft-trace.js'
import { type Machine, registers } from './register.js'
import { type Packet, type RaftClass, SimNode, type World } from './sim-node.js'

export interface RaftRun {
  readonly flaws: readonly string[]
  readonly events: number
  readonly elections: number
  readonly chosen: number
  readonly answered: number
  /** By end of faults: time until the group took a write again, and until all members had the same. */
  readonly recoveries: readonly { readonly serviceMs: number; readonly convergedMs: number }[]
  /** Of everything that happened, in its order: the same for the same seed, on every version of Node. */
  readonly digest: string
}

/** What a group is made of; a planted bug replaces a part. */
export interface RaftParts {
  readonly RaftClass: RaftClass
  readonly NodeClass: typeof SimNode
  readonly machine: Machine
}

export interface RaftRunOptions {
  readonly parts?: Partial<RaftParts>
  readonly trace?: (line: string) => void
  /** `storm`: one long time of faults, then a calm. `liveness`: six short ones, each with its calm. Default `storm`. */
  readonly mode?: 'storm' | 'liveness'
  /** The faults, instead of those that the seed draws: to aim at something. */
  readonly kinds?: readonly FaultKind[]
}

/** Within these a group must be back when faults have ended: in election timeouts of 100 to 200 ms, ten and fifteen. */
const serviceWithinMs = 2_000
const convergeWithinMs = 3_000

/**
 * One life of a group under faults, drawn from a seed: which faults there are (each run draws a few kinds, so that some
 * runs are all crashes and others all partitions), when they come, how bad network and disk are. After the faults the
 * network heals, everybody is started, and the group must find together within a bound.
 */
export function simulateRaft(seed: number, options: RaftRunOptions = {}): RaftRun {
  const life = new RaftLife(seed, options)
  try {
    if (options.mode === 'liveness') for (let round = 0; round < 6; round++) life.round(600)
    else life.round(3_000)
    life.end()
  } catch (error) {
    life.checks.flaw(`threw: ${(error as Error).message}`)
  }
  return life.result()
}

interface Setting {
  readonly kinds: readonly FaultKind[]
  readonly everyMs: number
  readonly size: number
  readonly witness: boolean
}

class RaftLife {
  readonly checks: RaftChecks
  readonly #simulation: Simulation
  readonly #network: SimNetwork<Packet>
  readonly #draw: () => number
  readonly #setting: Setting
  readonly #world: World
  readonly #nodes: readonly SimNode[]
  readonly #faults: SimNetwork<Packet>['faults']
  readonly #diskMs: number
  readonly #recoveries: { serviceMs: number; convergedMs: number }[] = []
  readonly #clients: RaftClients
  readonly #flaws: string[] = []

  constructor(seed: number, { parts = {}, trace, kinds }: RaftRunOptions) {
    this.#simulation = new Simulation(seed)
    this.#draw = this.#simulation.random('setting')
    this.#network = new SimNetwork(this.#simulation)
    this.checks = new RaftChecks(() => this.#simulation.halt())
    const draw = this.#draw
    this.#setting = { ...this.#drawSetting(), ...(kinds === undefined ? {} : { kinds }) }
    this.#faults = {
      drop: this.#chance(0.5) ? draw() * 0.15 : 0,
      duplicate: this.#chance(0.5) ? draw() * 0.1 : 0,
      minDelay: 0.1,
      maxDelay: this.#chance(0.3) ? 20 : 3,
      late: this.#chance(0.3) ? 0.05 : 0,
    }
    this.#diskMs = this.#chance(0.4) ? 30 : 3
    this.#world = this.#drawWorld(parts, trace)
    const { size, witness } = this.#setting
    const ids = Array.from({ length: size }, (_, index) => index + 1)
    const membership = initialMembership(witness ? { voters: [1, 2], witnesses: [3] } : { voters: ids })
    const { NodeClass = SimNode } = parts
    const mark = { index: 0, term: 0, membership }
    this.#nodes = Array.from({ length: size + 2 }, (_, index) => new NodeClass(index + 1, this.#world, mark))
    for (const node of this.#nodes) node.start()
    this.#clients = new RaftClients(this.#world, this.#nodes)
  }

  #chance(share: number): boolean {
    return this.#draw() < share
  }

  /** Half of the lives have a bit of everything; the others little, and that often. */
  #drawSetting(): Setting {
    const draw = this.#draw
    const broad = this.#chance(0.5)
    const few = Array.from(
      { length: 1 + Math.floor(draw() * 3) },
      () => weightedKinds[Math.floor(draw() * weightedKinds.length)] as FaultKind,
    )
    const some = faultKinds.filter(() => this.#chance(0.4))
    const hard = draw()
    const everyMs = broad ? 40 + 360 * hard * hard : 30 + 250 * hard
    const size = this.#chance(0.5) ? 3 : this.#chance(0.5) ? 5 : 4
    return { kinds: broad ? some : few, everyMs, size, witness: size === 3 && this.#chance(0.15) }
  }

  #drawWorld({ RaftClass = Raft, machine = registers }: Partial<RaftParts>, trace: RaftRunOptions['trace']): World {
    const draw = this.#draw
    const { kinds } = this.#setting
    const changing = kinds.some(kind => kind === 'membership' || kind === 'split-change' || kind === 'churn')
    const simulation = this.#simulation
    return {
      simulation,
      network: this.#network,
      RaftClass,
      machine,
      random: simulation.random('nodes'),
      diskMs: this.#diskMs,
      snapshotEvery: 5 + Math.floor(draw() * 40),
      options: {
        stepDownOnRemoval: this.#chance(0.7),
        ...(this.#chance(0.3)
          ? { reads: 'lease' as const }
          : {
              // Without pre-votes a member that was removed and does not know it can keep the others from electing.
              preVote: changing || this.#chance(0.5),
              checkQuorum: this.#chance(0.6),
              reads: 'quorum' as const,
            }),
        maxAppendBytes: this.#chance(0.35) ? 1 : this.#chance(0.5) ? 200 : 100_000,
        maxInflight: this.#chance(0.3) ? 2 : 64,
      },
      watch: trace === undefined ? this.checks : traced(this.checks, () => simulation.now, trace),
    }
  }

  /** A time of faults, and the calm behind it. */
  round(faultsMs: number): void {
    const { kinds, everyMs, witness, size } = this.#setting
    const untilMs = this.#simulation.now + faultsMs
    this.#world.watch.event('faults begin', { kinds, everyMs, members: size, witness, ...this.#world.options })
    this.#network.faults = this.#faults
    this.#world.diskMs = this.#diskMs
    this.#clients.start(5)
    scheduleFaults(this.#world, this.#nodes, { kinds, everyMs, untilMs, fixedMembers: witness })
    this.#run(untilMs)
    this.#calm()
  }

  #run(until: number): void {
    this.#simulation.run(until, { maxSteps: 400_000 })
  }

  #calm(): void {
    const simulation = this.#simulation
    const healedAt = simulation.now
    this.#world.watch.event('calm', {})
    this.#network.faults = { drop: 0, duplicate: 0, minDelay: 0.1, maxDelay: 2, late: 0 }
    this.#network.heal()
    this.#world.diskMs = 3
    for (const node of this.#nodes) if (!node.up) node.start()
    const serviceMs = this.#waitFor(healedAt, serviceWithinMs, () => this.#clients.lastWriteBegun > healedAt)
    if (serviceMs === undefined) {
      this.#flaws.push(`no write was taken ${serviceWithinMs} ms after the faults: ${disagreements(this.#nodes)[0]}`)
      return
    }
    this.#clients.stop()
    const agreed = (): boolean => disagreements(this.#nodes).length === 0
    const convergedMs = this.#waitFor(healedAt, convergeWithinMs, agreed)
    if (convergedMs === undefined) {
      this.#flaws.push(...disagreements(this.#nodes).map(text => `${convergeWithinMs} ms after the faults: ${text}`))
      return
    }
    this.#recoveries.push({ serviceMs, convergedMs })
  }

  /** @returns how long it took; undefined when it did not happen in time. */
  #waitFor(since: number, withinMs: number, holds: () => boolean): number | undefined {
    while (this.#simulation.now - since < withinMs && this.checks.flaws.length === 0) {
      this.#run(this.#simulation.now + 10)
      tidyMembership(this.#nodes)
      if (holds()) return this.#simulation.now - since
    }
    return undefined
  }

  /** What was under way comes to its end. */
  end(): void {
    this.#run(this.#simulation.now + 100)
    this.#flaws.push(...this.#clients.check())
  }

  result(): RaftRun {
    const { flaws, elections, chosen, digest } = this.checks
    return {
      flaws: [...flaws, ...(flaws.length > 0 ? [] : this.#flaws)],
      events: this.#simulation.steps,
      elections,
      chosen,
      answered: this.#clients.answered,
      recoveries: this.#recoveries,
      digest,
    }
  }
}

/** What keeps a calm group from being one: empty when every member has the leader's log and state. */
function disagreements(nodes: readonly SimNode[]): readonly string[] {
  const leader = leaderOf(nodes)
  if (leader?.raft === undefined) return ['nobody leads']
  const { membership, lastIndex, committed } = leader.raft.status
  if (committed !== lastIndex) return [`the leader has committed ${committed} of ${lastIndex}`]
  if (membership.outgoing.length > 0) return ['the group is in a joint configuration']
  const members = [...membership.voters, ...membership.learners]
  const flaws: string[] = []
  for (const node of nodes) {
    if (!members.includes(node.id) || membership.witnesses.includes(node.id)) continue
    if (node.appliedIndex !== leader.appliedIndex) {
      flaws.push(`node ${node.id} has applied ${node.appliedIndex}, the leader ${leader.appliedIndex}`)
    } else if (node.state.digest !== leader.state.digest) flaws.push(`node ${node.id} has another state`)
  }
  return flaws
}
