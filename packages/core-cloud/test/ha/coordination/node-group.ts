import { initialMembership } from '@aaas/core-cloud/ha'
import { silentLogger } from '@aaas/core-cloud/kernel'
import { ManualClock, seededIds } from '@aaas/testing'
import { CoordinationMachine } from '../../../src/ha/coordination/raft/coordination-machine.js'
import { raftCoordination } from '../../../src/ha/coordination/raft/raft-coordination.js'
import type { Coordination } from '../../../src/ha/coordination.js'
import type { CoordinationFixture } from '../../../src/ha/coordination-suite.js'
import { MemoryHub } from '../../../src/ha/memory-network.js'
import { MemoryHome, MemoryStorage } from '../../../src/ha/memory-storage.js'
import { type HaNode, openNode } from '../../../src/ha/node/node.js'

const voters = [1, 2, 3]

interface Running {
  readonly node: HaNode
  readonly storage: MemoryStorage
  readonly coordination: Coordination
}

/** Three real nodes on a network and disks in memory, and a clock that moves when it is told. */
export async function nodeGroup(): Promise<CoordinationFixture> {
  const clock = new ManualClock()
  const hub = new MemoryHub()
  const homes = voters.map(() => new MemoryHome())
  let starts = 0
  let running: Running[] = []

  const start = async (id: number): Promise<Running> => {
    const storage = new MemoryStorage(homes[id - 1])
    const machine = new CoordinationMachine()
    const ids = seededIds(1_000 + ++starts)
    const node = await openNode({
      node: id,
      storage,
      network: hub.join(id),
      clock,
      ids,
      logger: silentLogger,
      groups: [{ group: 1, machine, first: initialMembership({ voters }) }],
    })
    const coordination = raftCoordination({ clock, ids, node: `n${id}`, replica: node.group(1), machine })
    return { node, storage, coordination }
  }
  const startAll = async (): Promise<readonly Coordination[]> => {
    running = []
    for (const id of voters) running.push(await start(id))
    for (const { node } of running)
      for (const other of voters) if (other !== node.self) node.setPeer(other, hub.at(other)?.address ?? '')
    const led = (): boolean => running.some(({ node }) => node.group(1).status.role === 'leader')
    for (let passed = 0; !led() && passed < 20_000; passed += 50) await clock.pass(50)
    return running.map(({ coordination }) => coordination)
  }
  /** As `kill -9`. */
  const kill = async ({ node, storage }: Running): Promise<void> => {
    storage.cut()
    hub.leave(node.self)
    await node.close({ withinMs: 0 })
  }

  return {
    nodes: await startAll(),
    pass: ms => clock.pass(ms),
    async kill(coordination) {
      const one = running.find(member => member.coordination === coordination)
      if (one !== undefined) await kill(one)
      running = running.filter(member => member !== one)
    },
    async restart() {
      for (const one of running) await kill(one)
      return await startAll()
    },
    async [Symbol.asyncDispose]() {
      for (const { node } of running) await node.close({ withinMs: 0 })
    },
  }
}
