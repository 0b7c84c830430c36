import type { MemberChange, Raft } from '@aaas/core-cloud/ha'
import type { SimNode, World } from './sim-node.js'

/** What can happen to a group. */
export const faultKinds = [
  'crash',
  'power',
  'storm',
  'half-sent',
  'relay',
  'partition',
  'one-way',
  'isolate',
  'lag',
  'pause',
  'usurp',
  'stall',
  'stuck-disk',
  'transfer',
  'membership',
  'split-change',
  'churn',
  'forget',
  'campaign',
  'duel',
] as const
export type FaultKind = (typeof faultKinds)[number]

/** What lives with few kinds are drawn from: those that lead into the rarest states come more often. */
export const weightedKinds: readonly FaultKind[] = [...faultKinds, 'relay', 'relay', 'usurp', 'usurp', 'churn', 'churn']

export interface FaultPlan {
  readonly kinds: readonly FaultKind[]
  /** Longest time between two faults. */
  readonly everyMs: number
  readonly untilMs: number
  /** The members stay who they are. */
  readonly fixedMembers: boolean
}

/** Lets faults happen until the plan ends; what a fault has begun ends by itself soon after. */
export function scheduleFaults(world: World, nodes: readonly SimNode[], plan: FaultPlan): void {
  if (plan.kinds.length === 0) return
  const faults = new RaftFaults(world, nodes, plan)
  const next = (): void => {
    world.simulation.after(2 + faults.random() * plan.everyMs, () => {
      if (world.simulation.now >= plan.untilMs) return
      faults.inject(faults.pick(plan.kinds))
      next()
    })
  }
  next()
}

class RaftFaults {
  readonly random: () => number
  readonly #world: World
  readonly #nodes: readonly SimNode[]
  readonly #plan: FaultPlan
  readonly #ids: readonly number[]
  /** Between two relays there is time to get something done. */
  #relayUntil = 0
  /** Another one would heal the network too early. */
  #usurpedUntil = 0
  readonly #kinds: Readonly<Record<FaultKind, () => void>> = {
    crash: () => this.#crash(this.#someone(), 400),
    power: () => {
      for (const node of this.#some(0.8)) this.#crash(node, 60)
    },
    storm: () => {
      for (let round = 0; round < 6; round++) this.#later(150, () => this.#crash(this.pick(this.#nodes), 40))
    },
    'half-sent': () => this.#halfSent(),
    relay: () => this.#relay(4 + Math.floor(this.random() * 8)),
    partition: () => this.#cut(this.#someIds(), { oneWay: false }),
    'one-way': () => this.#cut(this.#someIds(), { oneWay: true }),
    isolate: () => this.#cut([this.#someone().id], { oneWay: this.random() < 0.3 }),
    lag: () => {
      this.#world.network.lag(this.#someone().id, this.random() * 60)
      this.#later(600, () => this.#world.network.heal())
    },
    pause: () => this.#someone().pause(this.random() * 400),
    usurp: () => this.#usurp(),
    stall: () => this.#stall(),
    'stuck-disk': () => this.#someone().stickDisk(this.random() * 250),
    transfer: () => this.#leader?.act(raft => raft.transfer(this.pick(this.#ids))),
    membership: () => this.#change(),
    'split-change': () => this.#splitChange(),
    churn: () => this.#churn(),
    forget: () => this.#someone().act(raft => raft.forgetLeader()),
    campaign: () => this.#someone().act(raft => raft.campaign()),
    duel: () => {
      for (const node of this.#some(0.5)) node.act(wake)
    },
  }

  constructor(world: World, nodes: readonly SimNode[], plan: FaultPlan) {
    this.#world = world
    this.#nodes = nodes
    this.#plan = plan
    this.#ids = nodes.map(({ id }) => id)
    this.random = world.simulation.random('faults')
  }

  inject(kind: FaultKind): void {
    this.#world.watch.event(`fault ${kind}`, {})
    this.#kinds[kind]()
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.random() * from.length)] as T
  }

  get #leader(): SimNode | undefined {
    return leaderOf(this.#nodes)
  }

  get #voters(): readonly SimNode[] {
    return this.#nodes.filter(({ id, raft }) => raft?.status.membership.voters.includes(id))
  }

  #someone(): SimNode {
    const leader = this.#leader
    return leader !== undefined && this.random() < 0.4 ? leader : this.pick(this.#nodes)
  }

  #some(share: number): readonly SimNode[] {
    return this.#nodes.filter(() => this.random() < share)
  }

  #someIds(): readonly number[] {
    return this.#some(0.5).map(({ id }) => id)
  }

  #later(longestMs: number, run: () => void): void {
    this.#world.simulation.after(this.random() * longestMs, run)
  }

  #crash(victim: SimNode, longestMs: number): void {
    victim.crash()
    this.#later(longestMs, () => {
      if (!victim.up) victim.start()
    })
  }

  #cut(one: readonly number[], { oneWay }: { readonly oneWay: boolean }): void {
    const { network } = this.#world
    const other = this.#ids.filter(id => !one.includes(id))
    if (oneWay) network.cut(one, other)
    else network.partition(one, other)
    this.#later(800, () => network.heal())
  }

  /** A leader that dies, or is cut off, in the middle of a round of appends. */
  #halfSent(): void {
    const leader = this.#leader
    if (leader === undefined) return
    this.#whenSent(leader, 40, () => {
      if (this.random() < 0.4) this.#crash(leader, 60)
      else if (this.random() < 0.4) this.#cut([leader.id], { oneWay: false })
      else this.#strand(leader, () => this.#crash(leader, 60))
    })
  }

  /** Once, in this life of the node: when so many of its appends have left, or after some time. */
  #whenSent(node: SimNode, longestMs: number, run: () => void): void {
    const { raft } = node
    let done = false
    const once = (): void => {
      if (done || node.raft !== raft || raft === undefined) return
      done = true
      run()
    }
    node.afterAppends(this.random() < 0.4 ? 0 : 1 + Math.floor(this.random() * 5), once)
    this.#later(longestMs, once)
  }

  /** Nothing leaves any more; what the node has it may still write down. */
  #strand(node: SimNode, then: () => void): void {
    const { network } = this.#world
    network.cut([node.id], this.#ids)
    this.#later(25, () => {
      network.heal(node.id)
      then()
    })
  }

  /**
   * Two rivals that lead in turn, each while the other is down and each only for a few messages: entries stay on one
   * disk, come back terms later, and are replaced (Raft paper, figure 8).
   */
  #relay(turns: number): void {
    const { simulation } = this.#world
    if (simulation.now < this.#relayUntil) return
    const voters = this.#voters
    const rivals = [this.pick(voters), this.pick(voters)] as const
    if (voters.length < 3 || rivals[0] === rivals[1]) return
    const turn = (left: number): void => {
      this.#relayUntil = simulation.now + 300
      const [up, down] = left % 2 === 0 ? rivals : [rivals[1], rivals[0]]
      if (left === 0 || simulation.now >= this.#plan.untilMs) {
        for (const rival of rivals) if (!rival.up) rival.start()
        return
      }
      down.crash()
      if (!up.up) up.start()
      this.#whenSent(up, 250, () => this.#strand(up, () => turn(left - 1)))
      const nudge = (): void => {
        if (!up.up || up.raft?.status.role === 'leader' || simulation.now >= this.#relayUntil) return
        for (const node of voters) if (node !== up) node.act(raft => raft.forgetLeader())
        up.act(wake)
        simulation.after(10 + this.random() * 30, nudge)
      }
      nudge()
    }
    turn(turns)
    // Another fault may have ended it half-way.
    const clear = (): void => {
      if (simulation.now < this.#relayUntil) simulation.after(300, clear)
      else for (const rival of rivals) if (!rival.up) rival.start()
    }
    simulation.after(300, clear)
  }

  /** Somebody else is to lead while the leader hears nothing of it: what it knows is old, and it cannot know that. */
  #usurp(): void {
    const leader = this.#leader
    const others = this.#voters.filter(node => node !== leader)
    const { network, simulation } = this.#world
    if (leader === undefined || others.length === 0 || simulation.now < this.#usurpedUntil) return
    const waitMs = this.random() < 0.3 ? 0 : 60 + this.random() * 120
    const deafMs = 60 + this.random() * 300
    this.#usurpedUntil = simulation.now + waitMs + deafMs + 20
    const heir = this.pick(others)
    const strangers = others.filter(() => this.random() < 0.6).map(({ id }) => id)
    // Long enough for some to have forgotten the leader, or not.
    if (this.random() < 0.6) network.partition([leader.id], strangers)
    simulation.after(waitMs, () => {
      if (this.random() < 0.4) leader.act(raft => raft.transfer(heir.id))
      network.cut(this.#ids, [leader.id])
      // Who starts again remembers no leader, and may be asked at once.
      if (this.random() < 0.4) this.#crash(this.pick(others), 10)
      const wakeMs = this.random() < 0.5 ? 0 : 10
      if (this.random() < 0.7) simulation.after(wakeMs, () => heir.act(wake))
      simulation.after(deafMs, () => network.heal())
    })
  }

  /** The leader's process stands still for longer than it is waited for, and hears its clients first afterwards. */
  #stall(): void {
    const leader = this.#leader
    if (leader === undefined) return
    const { network, simulation } = this.#world
    const ms = 80 + this.random() * 320
    leader.pause(ms)
    network.cut(this.#ids, [leader.id])
    simulation.after(ms + this.random() * 80, () => network.heal())
  }

  #change(): void {
    const leader = this.#leader
    if (leader === undefined || this.#plan.fixedMembers) return
    const choices = ['add-voter', 'add-voter', 'add-learner', 'remove', 'remove'] as const
    const changes = Array.from({ length: this.random() < 0.6 ? 1 : 2 }, (): MemberChange => {
      const node = this.random() < 0.2 ? leader.id : this.pick(this.#ids)
      return { kind: this.pick(choices), node }
    })
    const draw = this.random()
    const transition = draw < 0.65 ? 'auto' : draw < 0.85 ? 'implicit' : 'explicit'
    leader.act(raft => raft.proposeMembership({ changes, transition }))
    if (transition === 'explicit') this.#later(300, () => tidyMembership(this.#nodes))
  }

  /** Changes one after the other, while the disk of one member keeps up with none; it dies and wants to lead. */
  #churn(): void {
    const voters = this.#voters
    const { simulation } = this.#world
    if (voters.length === 0) return
    const victim = this.pick(voters)
    const ms = 40 + this.random() * 160
    if (victim !== this.#leader) victim.stickDisk(ms)
    for (let change = 0; change < 6; change++) this.#later(ms, () => this.#change())
    simulation.after(ms * (0.6 + this.random()), () => {
      this.#crash(victim, 20)
      simulation.after(20, () => {
        for (const node of voters) node.act(raft => raft.forgetLeader())
        victim.act(wake)
      })
    })
  }

  /** A change of several voters, and a cut between those that leave and those that come while it is under way. */
  #splitChange(): void {
    const leader = this.#leader
    const voters = leader?.raft?.status.membership.voters
    if (leader === undefined || voters === undefined || this.#plan.fixedMembers) return
    const changes = this.#ids
      .filter(() => this.random() < 0.5)
      .map((node): MemberChange => ({ kind: voters.includes(node) ? 'remove' : 'add-voter', node }))
    const transition = this.random() < 0.5 ? 'implicit' : 'explicit'
    leader.act(raft => raft.proposeMembership({ changes, transition }))
    this.#later(25, () => {
      // Those of the new half only on one side, those of the old half only on the other, the rest anywhere.
      const side = this.#ids.filter(id => {
        const changing = changes.some(({ node }) => node === id)
        return changing ? !voters.includes(id) : this.random() < 0.5
      })
      this.#cut(side, { oneWay: false })
      for (const node of this.#some(0.5)) node.act(wake)
      this.#later(300, () => tidyMembership(this.#nodes))
    })
  }
}

function wake(raft: Raft): void {
  raft.forgetLeader()
  raft.campaign()
}

/** Of several that believe to lead the one with the largest term. */
export function leaderOf(nodes: readonly SimNode[]): SimNode | undefined {
  let top: SimNode | undefined
  for (const node of nodes) {
    const status = node.raft?.status
    if (status?.role === 'leader' && status.term > (top?.raft?.status.term ?? 0)) top = node
  }
  return top
}

/**
 * What an operator (or a driver) does in peace: the second step of a change that was asked to wait for it, and the
 * replacement of a leader that was removed and not told to step down.
 */
export function tidyMembership(nodes: readonly SimNode[]): void {
  const leader = leaderOf(nodes)
  const { membership, id } = leader?.raft?.status ?? {}
  if (leader === undefined || membership === undefined) return
  const { voters, outgoing, autoLeave, witnesses } = membership
  const stays = voters.includes(id as number) || outgoing.includes(id as number)
  const heir = voters.find(node => !witnesses.includes(node))
  if (!stays && heir !== undefined) leader.act(raft => raft.transfer(heir))
  else if (outgoing.length > 0 && !autoLeave) {
    leader.act(raft => raft.proposeMembership({ changes: [], transition: 'explicit' }))
  }
}
