import { ManualClock, seededIds } from '@aaas/testing'
import { test } from 'tap'
import { CoordinationMachine } from '../../src/ha/coordination/raft/coordination-machine.js'
import { raftCoordination } from '../../src/ha/coordination/raft/raft-coordination.js'
import { type CoordinationFixture, coordinationSuite } from '../../src/ha/coordination-suite.js'
import { CoreGroup } from './coordination/core-group.js'
import { nodeGroup } from './coordination/node-group.js'

const features = { fair: true, keyTtl: true, everyChange: true, keys: true }

/** Three members of a group of Raft cores; each test passes its time. */
async function openGroup(): Promise<CoordinationFixture> {
  const clock = new ManualClock()
  const machines = [1, 2, 3].map(() => new CoordinationMachine())
  const group = new CoreGroup(clock, machines)
  const nodes = machines.map((machine, at) =>
    raftCoordination({
      clock,
      ids: seededIds(at + 1),
      node: `n${at + 1}`,
      replica: group.members[at]!,
      machine,
    }),
  )
  const fixture: CoordinationFixture = {
    nodes,
    pass: ms => clock.pass(ms),
    async kill(node) {
      group.members[nodes.indexOf(node)]?.stop()
    },
    async [Symbol.asyncDispose]() {
      group.close()
    },
  }
  while (group.leader === undefined) await clock.pass(100)
  return fixture
}

test('over the Raft core', async t => {
  coordinationSuite((name, fn) => t.test(name, { timeout: 20_000 }, fn), openGroup, features)
})

test('over real nodes', async t => {
  coordinationSuite((name, fn) => t.test(name, { timeout: 20_000 }, fn), nodeGroup, features)
})
