import { initialMembership, type MemberChange, Raft } from '@aaas/core-cloud/ha'
import { SimNetwork, Simulation } from '@aaas/testing'
import { RaftChecks } from './raft-checks.js'
import { RaftClients } from './raft-clients.js'
import { traced } from './raft-trace.js'
import { type Packet, type RaftClass, SimNode, type World } from './sim-node.js'

export interface RaftRun {
  readonly flaws: readonly string[]
  readonly events: number
  readonly elections: number
  readonly chosen: number
  readonly answered: number
  /** The same for the same seed, on every version of Node. */
  readonly digest: string
}

const runMs = 4_000
const calmMs = 3_000

type FaultKind =
  | 'crash'
  | 'power'
  | 'storm'
  | 'partition'
  | 'one-way'
  | 'isolate'
  | 'pause'
  | 'transfer'
  | 'membership'
  | 'forget'
  | 'campaign'
  | 'duel'
const kinds: readonly FaultKind[] = [
  'crash',
  'power',
  'storm',
  'partition',
  'one-way',
  'isolate',
  'pause',
  'transfer',
  'membership',
  'membership',
  'forget',
  'campaign',
  'duel',
]

/**
 * One life of a group under faults, drawn from a seed: which faults there are (each run draws a few kinds, so that some
 * runs are all crashes and others all partitions), when they come, how bad network and disk are. After the faults the
 * network heals, everybody is started, and the group must find together.
 */
export function simulateRaft(seed: number, RaftCore: RaftClass = Raft, trace?: (line: string) => void): RaftRun {
  const simulation = new Simulation(seed)
  const draw = simulation.random('setting')
  const checks = new RaftChecks()
  const network = new SimNetwork<Packet>(simulation)
  const chance = (share: number): boolean => draw() < share
  const active = kinds.filter(() => chance(0.45))
  const world: World = {
    simulation,
    network,
    RaftClass: RaftCore,
    random: simulation.random('nodes'),
    diskMs: chance(0.4) ? 30 : 3,
    snapshotEvery: 5 + Math.floor(draw() * 40),
    options: {
      stepDownOnRemoval: chance(0.7),
      ...(chance(0.3)
        ? { reads: 'lease' as const }
        : {
            // Without pre-votes a member that was removed and does not know it can keep the others from electing for ever.
            preVote: active.includes('membership') || chance(0.5),
            checkQuorum: chance(0.6),
            reads: 'quorum' as const,
          }),
      maxAppendBytes: chance(0.35) ? 1 : chance(0.5) ? 200 : 100_000,
      maxInflight: chance(0.3) ? 2 : 64,
    },
    watch: trace === undefined ? checks : traced(checks, trace),
  }
  network.faults = {
    drop: chance(0.5) ? draw() * 0.15 : 0,
    duplicate: chance(0.5) ? draw() * 0.1 : 0,
    minDelay: 0.1,
    maxDelay: chance(0.3) ? 20 : 3,
    late: chance(0.3) ? 0.05 : 0,
  }
  const size = chance(0.5) ? 3 : chance(0.5) ? 5 : 4
  const ids = Array.from({ length: size }, (_, index) => index + 1)
  const witness = size === 3 && chance(0.15)
  const first = initialMembership({
    voters: witness ? [1, 2] : ids,
    ...(witness ? { witnesses: [3] } : {}),
  })
  const mark = { index: 0, term: 0, membership: first }
  const nodes = Array.from({ length: size + 2 }, (_, index) => new SimNode(index + 1, world, mark))
  for (const node of nodes) node.start()
  const clients = new RaftClients(world, nodes, 4)
  scheduleFaults(world, nodes, active, { witness, pauseMs: 40 * 10 ** draw() })
  const check = { maxSteps: 400_000 }
  simulation.run(runMs, check)
  // Calm: now the group has to find together.
  network.faults = { drop: 0, duplicate: 0, minDelay: 0.1, maxDelay: 2, late: 0 }
  network.heal()
  world.diskMs = 3
  for (const node of nodes) if (!node.up) node.start()
  simulation.run(runMs + calmMs / 2, check)
  clients.stop()
  simulation.run(runMs + calmMs, check)
  const flaws = [...checks.flaws, ...converged(nodes), ...clients.check()]
  const { steps: events } = simulation
  const leader = nodes.find(node => node.raft?.status.role === 'leader')
  const digest = `${events}/${leader?.id}/${leader?.raft?.status.term}/${leader?.appliedIndex}/${JSON.stringify(leader?.state.values)}`
  const { elections, chosen } = checks
  return { flaws, events, elections, chosen, answered: clients.answered, digest }
}

interface FaultPlan {
  readonly witness: boolean
  /** Longest time between two faults. */
  readonly pauseMs: number
}

function scheduleFaults(world: World, nodes: readonly SimNode[], active: readonly FaultKind[], plan: FaultPlan): void {
  if (active.length === 0) return
  const { simulation } = world
  const random = simulation.random('faults')
  const next = (): void => {
    simulation.after(5 + random() * plan.pauseMs, () => {
      if (simulation.now >= runMs) return
      inject(world, nodes, active[Math.floor(random() * active.length)] as FaultKind, random, plan)
      next()
    })
  }
  next()
}

function inject(
  world: World,
  nodes: readonly SimNode[],
  kind: FaultKind,
  random: () => number,
  { witness }: FaultPlan,
): void {
  const { simulation, network } = world
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T
  const leader = nodes.find(node => node.raft?.status.role === 'leader')
  const node = leader !== undefined && random() < 0.4 ? leader : pick(nodes)
  const ids = nodes.map(({ id }) => id)
  const crash = (victim: SimNode, longest: number): void => {
    victim.crash()
    simulation.after(random() * longest, () => {
      if (!victim.up) victim.start()
    })
  }
  const cut = (one: readonly number[], oneWay: boolean): void => {
    const other = ids.filter(id => !one.includes(id))
    if (oneWay) network.cut(one, other)
    else network.partition(one, other)
    simulation.after(random() * 800, () => network.heal())
  }
  const inject: Readonly<Record<FaultKind, () => void>> = {
    crash: () => crash(node, 400),
    power: () => nodes.filter(() => random() < 0.8).forEach(one => crash(one, 60)),
    storm: () => {
      for (let round = 0; round < 6; round++) simulation.after(random() * 150, () => crash(pick(nodes), 40))
    },
    partition: () =>
      cut(
        ids.filter(() => random() < 0.5),
        false,
      ),
    'one-way': () =>
      cut(
        ids.filter(() => random() < 0.5),
        true,
      ),
    isolate: () => cut([node.id], random() < 0.3),
    pause: () => node.pause(random() * 400),
    transfer: () => leader?.act(raft => raft.transfer(pick(ids))),
    membership: () => {
      if (!witness) leader?.act(raft => raft.proposeMembership(randomChange(ids, leader.id, random)))
    },
    forget: () => node.act(raft => raft.forgetLeader()),
    campaign: () => node.act(raft => raft.campaign()),
    duel: () => {
      for (const one of nodes.filter(() => random() < 0.5)) {
        one.act(raft => raft.forgetLeader())
        one.act(raft => raft.campaign())
      }
    },
  }
  inject[kind]()
}

function randomChange(
  ids: readonly number[],
  leader: number,
  random: () => number,
): { changes: readonly MemberChange[]; transition: 'auto' | 'implicit' } {
  const choices = ['add-voter', 'add-voter', 'add-learner', 'remove', 'remove'] as const
  const count = random() < 0.6 ? 1 : 2
  const changes = Array.from({ length: count }, () => ({
    kind: choices[Math.floor(random() * choices.length)] as MemberChange['kind'],
    node: random() < 0.2 ? leader : (ids[Math.floor(random() * ids.length)] as number),
  }))
  return { changes, transition: random() < 0.7 ? 'auto' : 'implicit' }
}

/** After the calm: one leader, and every member has its log and state. */
function converged(nodes: readonly SimNode[]): readonly string[] {
  const leaders = nodes.filter(node => node.raft?.status.role === 'leader')
  const top = leaders.sort((a, b) => (b.raft?.status.term ?? 0) - (a.raft?.status.term ?? 0))[0]
  if (top?.raft === undefined) return ['no leader after the calm']
  const { membership, lastIndex, committed } = top.raft.status
  const flaws: string[] = []
  if (committed !== lastIndex) flaws.push(`the leader has committed ${committed} of ${lastIndex} after the calm`)
  if (membership.outgoing.length > 0) flaws.push('still in a joint configuration after the calm')
  const members = [...membership.voters, ...membership.learners]
  for (const node of nodes) {
    if (!members.includes(node.id) || membership.witnesses.includes(node.id)) continue
    if (node.appliedIndex !== top.appliedIndex) {
      flaws.push(`node ${node.id} has applied ${node.appliedIndex}, the leader ${top.appliedIndex}`)
    } else if (JSON.stringify(node.state) !== JSON.stringify(top.state)) flaws.push(`node ${node.id} has another state`)
  }
  return flaws
}
