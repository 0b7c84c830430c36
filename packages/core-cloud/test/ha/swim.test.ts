import assert from 'node:assert/strict'
import fc from 'fast-check'
import { test } from 'tap'
import { decodeSwim, encodeSwim } from '../../src/ha/membership/swim-codec.js'
import { Swim } from '../../src/ha/membership/swim-core.js'
import type { MemberNews, SwimMessage } from '../../src/ha/membership/swim-types.js'
import { SwimWorld } from './swim-sim.js'

const seeds = [1, 2, 3, 4, 5]

function swimOf(members: readonly number[], options: Partial<ConstructorParameters<typeof Swim>[0]> = {}): Swim {
  const swim = new Swim({ self: 1, incarnation: 5, random: () => 0.5, ...options })
  for (const node of members) swim.join(node)
  swim.take()
  return swim
}

const answer = (news: readonly MemberNews[]): SwimMessage => ({ type: 'ack', sequence: 99, target: 0, news })

test('nobody is suspected while nothing happens', async () => {
  for (const nodes of [2, 3, 8]) {
    for (const seed of seeds) {
      const world = new SwimWorld({ seed, nodes })
      world.simulation.run(120_000)
      assert.deepEqual(
        world.verdicts.filter(({ health }) => health !== 'alive'),
        [],
      )
    }
  }
})

test('with one message of twenty lost, nobody is found dead', async () => {
  for (const nodes of [3, 8]) {
    for (const seed of seeds) {
      const world = new SwimWorld({ seed, nodes, drop: 0.05 })
      world.simulation.run(300_000)
      assert.deepEqual(world.falseDeaths(), [], `${nodes} nodes, seed ${seed}`)
    }
  }
})

test('a death is known to everybody within 20 seconds, with and without loss', async () => {
  for (const [nodes, drop] of [
    [3, 0],
    [3, 0.05],
    [8, 0],
    [8, 0.05],
    [24, 0.05],
  ] as const) {
    for (const seed of seeds) {
      const world = new SwimWorld({ seed, nodes, drop })
      world.simulation.run(20_000)
      world.kill(1)
      world.simulation.run(40_000)
      for (let id = 2; id <= nodes; id++) {
        assert.equal(world.swim(id).healthOf(1), 'dead', `${nodes} nodes, seed ${seed}, node ${id}`)
      }
    }
  }
})

test('a node that hears late takes others for dead a tenth as often when it doubts itself before them', async () => {
  const count = (selfAware: boolean): { suspicions: number; deaths: number } => {
    const counts = { suspicions: 0, deaths: 0 }
    for (const seed of seeds) {
      const world = new SwimWorld({ seed, nodes: 8, drop: 0.02, selfAware })
      world.simulation.run(5_000)
      world.makeDeafish(2, 10_000)
      world.simulation.run(180_000)
      counts.suspicions += world.verdicts.filter(({ by, health }) => by === 2 && health === 'suspect').length
      counts.deaths += world.falseDeaths().filter(({ node }) => node !== 2).length
    }
    return counts
  }
  const [without, aware] = [count(false), count(true)]
  assert(without.suspicions > 100 && without.deaths > 20, `the comparison says nothing: ${JSON.stringify(without)}`)
  assert(aware.suspicions <= without.suspicions / 10, JSON.stringify([without, aware]))
  assert(aware.deaths <= without.deaths / 10, JSON.stringify([without, aware]))
})

test('a node that stands still for up to three seconds again and again is not found dead', async () => {
  for (const seed of seeds) {
    const world = new SwimWorld({ seed, nodes: 8, drop: 0.02 })
    world.simulation.run(5_000)
    world.makeSlow(2, 3_000)
    world.simulation.run(180_000)
    assert.deepEqual(world.falseDeaths(), [])
  }
})

test('both sides of a partition find the other dead, and each other alive when it is over', async () => {
  for (const seed of seeds) {
    const world = new SwimWorld({ seed, nodes: 6 })
    world.simulation.run(10_000)
    world.network.partition([1, 2, 3], [4, 5, 6])
    world.simulation.run(70_000)
    assert.equal(world.swim(1).healthOf(4), 'dead')
    assert.equal(world.swim(5).healthOf(2), 'dead')
    world.network.heal()
    world.simulation.run(130_000)
    for (let id = 1; id <= 6; id++) {
      assert(
        world
          .swim(id)
          .members()
          .every(({ health }) => health === 'alive'),
        `seed ${seed}, node ${id}: ${JSON.stringify(world.swim(id).members())}`,
      )
    }
  }
})

test('a cut of one way between two is bridged by the others', async () => {
  for (const seed of seeds) {
    const world = new SwimWorld({ seed, nodes: 5 })
    world.simulation.run(5_000)
    world.network.cut([1], [2])
    world.simulation.run(120_000)
    assert.deepEqual(world.falseDeaths(), [])
  }
})

test('a node that comes back with a higher incarnation is alive at once', async () => {
  const world = new SwimWorld({ seed: 3, nodes: 4 })
  world.simulation.run(10_000)
  world.kill(2)
  world.simulation.run(40_000)
  assert.equal(world.swim(1).healthOf(2), 'dead')
  const again = world.start(2)
  for (const id of [1, 3, 4]) again.join(id)
  world.simulation.run(50_000)
  for (const id of [1, 3, 4]) assert.equal(world.swim(id).healthOf(2), 'alive')
})

test('the same seed is the same run', async () => {
  const run = (seed: number): unknown => {
    const world = new SwimWorld({ seed, nodes: 6, drop: 0.2 })
    world.simulation.run(60_000)
    return [world.verdicts, world.network.counts]
  }
  assert.deepEqual(run(7), run(7))
  assert.notDeepEqual(run(7), run(8))
})

test('who is said to be dead says the opposite with a higher incarnation', async () => {
  const swim = swimOf([2, 3])
  swim.step(2, answer([{ node: 1, health: 'suspect', incarnation: 5, by: 3 }]))
  swim.tick()
  const { messages } = swim.take()
  const told = messages.flatMap(({ message }) => message.news).find(({ node }) => node === 1)
  assert.deepEqual(told, { node: 1, health: 'alive', incarnation: 6, by: 1 })
  assert.equal(swim.doubt, 1)
})

test('news of a lower incarnation changes nothing; of the same one the worse wins', async () => {
  const swim = swimOf([2, 3])
  const hear = (health: MemberNews['health'], incarnation: number): unknown => {
    swim.step(2, answer([{ node: 3, health, incarnation, by: 2 }]))
    return swim.healthOf(3)
  }
  assert.equal(hear('alive', 7), 'alive')
  assert.equal(hear('dead', 6), 'alive')
  assert.equal(hear('suspect', 7), 'suspect')
  assert.equal(hear('alive', 7), 'suspect')
  assert.equal(hear('alive', 8), 'alive')
  assert.equal(hear('dead', 8), 'suspect', 'a death comes after a suspicion')
  assert.equal(hear('dead', 8), 'dead')
  assert.equal(hear('suspect', 8), 'dead')
  assert.equal(hear('alive', 9), 'alive')
})

test('every other node that shares a suspicion makes it shorter', async () => {
  const ticksToDeath = (confirmers: readonly number[]): number => {
    const swim = swimOf([2, 3, 4, 5, 6], { probeTicks: 1_000, ackTicks: 999, suspicionFactor: 5 })
    for (const by of [2, ...confirmers]) swim.step(2, answer([{ node: 6, health: 'suspect', incarnation: 0, by }]))
    for (let ticks = 0; ticks < 40_000; ticks++) {
      if (swim.healthOf(6) === 'dead') return ticks
      swim.tick()
      for (const { to, message } of swim.take().messages) {
        if (message.type === 'ping') swim.step(to, { ...answer([]), sequence: message.sequence })
      }
    }
    return Number.POSITIVE_INFINITY
  }
  const [alone, same, one, three, four] = [[], [2, 2], [3], [3, 4, 5], [3, 4, 5, 1]].map(ticksToDeath)
  assert.equal(alone, 30_000)
  assert.equal(same, alone, 'a node counts once')
  assert((one as number) < (alone as number) && (three as number) < (one as number))
  assert.equal(three, 5_000)
  assert.equal(four, 5_000, 'never shorter than the shortest')
})

test('the table takes as many members as it may, and no more', async () => {
  const swim = swimOf([], { maxMembers: 3 })
  for (let node = 2; node <= 5; node++) swim.step(node, answer([]))
  assert.deepEqual(
    swim.members().map(({ node }) => node),
    [2, 3, 4],
  )
  swim.step(2, answer([{ node: 9, health: 'alive', incarnation: 1, by: 2 }]))
  assert.equal(swim.healthOf(9), undefined)
})

test('a message carries as much news as it may, and each is told some times only', async () => {
  const swim = swimOf([2], { maxNews: 3, gossipFactor: 2 })
  for (let node = 10; node < 20; node++) swim.join(node)
  for (let node = 10; node < 20; node++) {
    swim.step(2, answer([{ node, health: 'alive', incarnation: 1, by: node }]))
  }
  swim.take()
  const told = new Map<number, number>()
  for (let ask = 1; ask <= 40; ask++) {
    swim.step(2, { type: 'ping', sequence: ask, target: 1, news: [] })
    for (const { message } of swim.take().messages) {
      assert(message.news.length <= 3)
      for (const { node } of message.news) told.set(node, (told.get(node) ?? 0) + 1)
    }
  }
  told.delete(1)
  assert.equal(told.size, 10)
  assert.deepEqual([...new Set(told.values())], [3])
})

test('who leaves is dead at once to those it tells', async () => {
  const swim = swimOf([2, 3])
  swim.leave()
  const [first] = swim.take().messages
  assert(first !== undefined)
  const other = swimOf([], { self: first.to, incarnation: 1 } as never)
  other.join(1)
  other.step(1, first.message)
  assert.equal(other.healthOf(1), 'dead')
})

test('options that cannot work are refused by name', async () => {
  for (const [field, value] of [
    ['probeTicks', 0],
    ['ackTicks', 10],
    ['maxNews', 33],
    ['incarnation', -1],
  ] as const) {
    assert.throws(() => new Swim({ self: 1, incarnation: 0, random: () => 0, [field]: value }), {
      code: 'core.kernel.invalid-config',
      field,
    })
  }
})

const noNullPrototype = { noNullPrototype: true } as const
const newsOf = fc.record(
  {
    node: fc.integer({ min: 1, max: 0xffff_ffff }),
    health: fc.constantFrom('alive' as const, 'suspect' as const, 'dead' as const),
    incarnation: fc.maxSafeNat(),
    by: fc.integer({ min: 0, max: 0xffff_ffff }),
  },
  noNullPrototype,
)

test('every message comes back from its bytes; 32 news fit', async () => {
  const message = fc.record(
    {
      type: fc.constantFrom('ping' as const, 'probe' as const, 'ack' as const, 'no-answer' as const),
      sequence: fc.integer({ min: 0, max: 0xffff_ffff }),
      target: fc.integer({ min: 0, max: 0xffff_ffff }),
      news: fc.array(newsOf, { maxLength: 32 }),
    },
    noNullPrototype,
  )
  fc.assert(fc.property(message, sent => assert.deepEqual(decodeSwim(encodeSwim(sent)), sent)))
})

test('bytes that are no message are refused, and nothing else happens', async () => {
  const refused = { code: 'core.ha.bad-message' }
  const news = Array.from({ length: 33 }, () => ({ node: 2, health: 'alive', incarnation: 1, by: 1 }) as const)
  assert.throws(() => decodeSwim(encodeSwim({ type: 'ack', sequence: 1, target: 0, news })), refused)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
      try {
        decodeSwim(bytes)
      } catch (error) {
        assert.equal((error as { code?: string }).code, refused.code)
      }
    }),
  )
})
