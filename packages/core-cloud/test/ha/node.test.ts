import assert from 'node:assert/strict'
import type { NodeId } from '@aaas/core-cloud/ha'
import { initialMembership } from '@aaas/core-cloud/ha'
import { CloudError, silentLogger } from '@aaas/core-cloud/kernel'
import { ManualClock, seededIds } from '@aaas/testing'
import { test } from 'tap'
import { MemoryHub } from '../../src/ha/memory-network.js'
import { MemoryStorage } from '../../src/ha/memory-storage.js'
import { openNode } from '../../src/ha/node/node.js'
import { answer, command, NodeCluster, Registers } from './node-cluster.js'

const nodes: readonly NodeId[] = [1, 2, 3]

test('every member takes commands and answers with what was applied on it', async () => {
  const cluster = await NodeCluster.open()
  const indexes: number[] = []
  for (const id of nodes) {
    const { index, result } = await cluster.wait(cluster.propose(id, { key: 'a', add: 1 }))
    assert.equal(answer(result).value, id)
    indexes.push(index)
    assert.equal(cluster.at(id).machine.values.get('a'), id)
  }
  assert.deepEqual(
    indexes,
    indexes.toSorted((a, b) => a - b),
  )
  await cluster.close()
})

test('a read on any member sees every write that was answered before it', async () => {
  const cluster = await NodeCluster.open()
  for (let round = 0; round < 12; round++) {
    await cluster.wait(cluster.propose(nodes[round % 3] as NodeId, { key: 'a', put: round }))
    for (const id of nodes) {
      await cluster.wait(cluster.at(id).replica.read())
      assert.equal(cluster.at(id).machine.values.get('a'), round)
    }
  }
  await cluster.close()
})

test('many commands at once go in few batches, many reads in few rounds', async () => {
  const frames: number[] = []
  const hub = new MemoryHub()
  const cluster = await NodeCluster.open({ hub })
  const leader = await cluster.leader()
  const { replica, storage } = cluster.at(leader)
  await cluster.wait(cluster.propose(leader, { key: 'a', put: 0 }))
  let works = 0
  const append = storage.append.bind(storage)
  storage.append = (group, work, done) => {
    if (work.entries.length > 0) works += 1
    append(group, work, done)
  }
  await cluster.wait(Promise.all(Array.from({ length: 5_000 }, () => cluster.propose(leader, { key: 'a', add: 1 }))))
  assert.equal(cluster.at(leader).machine.values.get('a'), 5_000)
  assert(works <= 3, `${works} writes for 5,000 commands`)
  const network = hub.at(leader)
  assert(network !== undefined)
  const send = network.send.bind(network)
  network.send = (to, pieces) => {
    frames.push(to)
    return send(to, pieces)
  }
  await cluster.wait(Promise.all(Array.from({ length: 5_000 }, () => replica.read())))
  assert(frames.length <= 8, `${frames.length} frames for 5,000 reads`)
  await cluster.close()
})

test('a leader that dies is followed at once when its connection ends, and commands in between are applied once', async () => {
  const cluster = await NodeCluster.open()
  const leader = await cluster.leader()
  const [one, other] = nodes.filter(id => id !== leader) as [NodeId, NodeId]
  const calls = [one, other].flatMap(id => Array.from({ length: 50 }, () => cluster.propose(id, { key: 'a', add: 1 })))
  const before = cluster.clock.monotonic()
  await cluster.kill(leader)
  await cluster.wait(Promise.all(calls))
  const took = cluster.clock.monotonic() - before
  assert(took < 300, `it took ${took} ms`)
  assert.equal(cluster.at(one).machine.values.get('a'), 100)
  await cluster.wait(cluster.at(other).replica.read())
  assert.equal(cluster.at(other).machine.values.get('a'), 100)
  await cluster.close()
})

test('without a majority nothing is answered: a command is not applied, or its outcome is unknown', async () => {
  const cluster = await NodeCluster.open({ limits: { callMs: 3_000 } })
  const leader = await cluster.leader()
  await cluster.wait(cluster.propose(leader, { key: 'b', put: 0 }))
  for (const id of nodes) if (id !== leader) cluster.hub.cut(leader, id)
  const handedOn = cluster.propose(leader, { key: 'a', add: 1 })
  await assert.rejects(cluster.wait(handedOn), { code: 'core.ha.outcome-unknown' })
  await cluster.until('it steps down', () => cluster.at(leader).replica.status.role !== 'leader')
  await assert.rejects(cluster.wait(cluster.propose(leader, { key: 'b', add: 1 })), { code: 'core.ha.unavailable' })
  await assert.rejects(cluster.wait(cluster.at(leader).replica.read()), { code: 'core.ha.unavailable' })
  assert.equal(await cluster.at(leader).replica.read('stale'), cluster.at(leader).replica.status.applied)
  cluster.hub.heal()
  const { result } = await cluster.wait(cluster.propose(leader, { key: 'b', add: 1 }))
  assert.equal(answer(result).value, 1)
  await cluster.close()
})

test('a deadline in the past, a cancelled call, a command that is too long', async () => {
  const cluster = await NodeCluster.open({ limits: { maxCommandBytes: 1_000 } })
  const { replica, machine } = cluster.at(await cluster.leader())
  await assert.rejects(replica.propose(command({ key: 'a', add: 1 }), { deadline: cluster.clock.now() }), {
    code: 'core.ha.unavailable',
  })
  const reason = new Error('enough')
  await assert.rejects(replica.propose(command({ key: 'a', add: 1 }), { signal: AbortSignal.abort(reason) }), reason)
  await assert.rejects(replica.propose(Buffer.alloc(1_001)), {
    code: 'core.contract.payload-too-large',
    field: 'command',
  })
  await assert.rejects(replica.read('linearizable', { deadline: cluster.clock.now() }), { code: 'core.ha.unavailable' })
  await cluster.wait(replica.propose(command({ key: 'a'.repeat(900), add: 1 })))
  assert.equal(machine.values.has('a'), false)
  await cluster.close()
})

test('one call too many is refused at once', async () => {
  const cluster = await NodeCluster.open({ limits: { maxProposals: 10, maxReads: 5 } })
  const leader = await cluster.leader()
  const { replica } = cluster.at(leader)
  await cluster.wait(cluster.propose(leader, { key: 'b', add: 1 }))
  const calls = Array.from({ length: 10 }, () => cluster.propose(leader, { key: 'a', add: 1 }))
  await assert.rejects(cluster.propose(leader, { key: 'a', add: 1 }), { code: 'core.ha.overloaded' })
  const reads = Array.from({ length: 5 }, () => replica.read())
  await assert.rejects(replica.read(), { code: 'core.ha.overloaded' })
  await cluster.wait(Promise.all([...calls, ...reads]))
  await cluster.wait(cluster.propose(leader, { key: 'a', add: 1 }))
  assert.equal(cluster.at(leader).machine.values.get('a'), 11)
  await cluster.close()
})

test('a leader with as much uncommitted as it may refuses a follower, who says so', async () => {
  const cluster = await NodeCluster.open({
    limits: { maxBatchEntries: 1, retryMs: 60_000 },
    group: { raft: { maxUncommittedBytes: 2_000 } },
  })
  const leader = await cluster.leader()
  const [one, other] = nodes.filter(id => id !== leader) as [NodeId, NodeId]
  await cluster.wait(cluster.propose(one, { key: 'a', add: 1 }))
  // The leader keeps one follower, which stores nothing any more: nothing is committed.
  const { storage } = cluster.at(one)
  storage.append = () => undefined
  cluster.hub.cut(leader, other)
  const calls = Array.from({ length: 40 }, () => cluster.propose(one, { key: 'a'.repeat(100), add: 1 }))
  const codes = calls.map(call =>
    call.then(
      () => 'applied',
      (error: unknown) => (error as CloudError).code,
    ),
  )
  const first = await cluster.wait(Promise.race(codes))
  assert.equal(first, 'core.ha.overloaded')
  await cluster.close()
})

test('stopping a node fails no call, wherever it came in', async () => {
  const cluster = await NodeCluster.open()
  for (let round = 0; round < 3; round++) {
    const leader = await cluster.leader()
    let running = true
    let done = 0
    const clients = [...cluster.members.keys()].map(async id => {
      while (running || id !== leader) {
        try {
          await cluster.propose(id, { key: 'a', add: 1 })
          await cluster.at(id).replica.read()
          done += 1
        } catch (error) {
          // The node that is leaving says so to new calls; that is no failure of one that was taken.
          if (!running && CloudError.is(error, 'core.ha.stopped')) return
          throw error
        }
        if (!running && id !== leader) return
      }
    })
    await cluster.until('clients are at work', () => done > 30)
    const { node, machine } = cluster.at(leader)
    running = false
    const before = cluster.clock.monotonic()
    await cluster.wait(node.close())
    assert(cluster.clock.monotonic() - before < 400)
    await cluster.wait(Promise.all(clients))
    cluster.members.delete(leader)
    assert(machine.log.length > 0)
    await cluster.start(leader)
  }
  const values = new Set<number | undefined>()
  await cluster.leader()
  for (const id of nodes) {
    await cluster.wait(cluster.at(id).replica.read())
    values.add(cluster.at(id).machine.values.get('a'))
  }
  assert.equal(values.size, 1)
  await cluster.close()
})

test('a disk that fails stops its node, and the others go on', async () => {
  const cluster = await NodeCluster.open()
  const leader = await cluster.leader()
  const { node, storage, replica } = cluster.at(leader)
  storage.fail(new Error('no space left'))
  await cluster.wait(node.failed)
  assert.match((await node.failed).message, /no space/)
  await assert.rejects(replica.propose(command({ key: 'a', add: 1 })), { code: 'core.ha.stopped' })
  await assert.rejects(replica.read(), { code: 'core.ha.stopped' })
  cluster.members.delete(leader)
  const other = await cluster.leader()
  await cluster.wait(cluster.propose(other, { key: 'a', add: 1 }))
  await cluster.close()
})

test('a state machine that throws stops its node', async () => {
  const cluster = await NodeCluster.open()
  const leader = await cluster.leader()
  cluster.at(leader).machine.apply = () => {
    throw new Error('a mistake')
  }
  const call = cluster.propose(leader, { key: 'a', add: 1 })
  await assert.rejects(cluster.wait(call), { code: 'core.ha.outcome-unknown' })
  assert.match((await cluster.at(leader).node.failed).message, /a mistake/)
  await cluster.close()
})

test('a group of two voters is refused, and a node on the network of another', async () => {
  const open = (node: NodeId, voters: readonly NodeId[]): Promise<unknown> =>
    openNode({
      node,
      storage: new MemoryStorage(),
      network: new MemoryHub().join(1),
      clock: new ManualClock(),
      ids: seededIds(),
      logger: silentLogger,
      groups: [{ group: 1, machine: new Registers(), first: initialMembership({ voters }) }],
    })
  await assert.rejects(open(1, [1, 2]), { code: 'core.ha.no-quorum', field: 'voters' })
  await assert.rejects(open(2, [1, 2, 3]), { code: 'core.ha.duplicate-node' })
})

test('one node alone is a group', async () => {
  const cluster = await NodeCluster.open({ voters: [1] })
  await cluster.wait(cluster.propose(1, { key: 'a', add: 1 }))
  await cluster.wait(cluster.at(1).replica.read())
  await cluster.wait(cluster.at(1).node.close())
  cluster.members.delete(1)
  const { machine } = await cluster.start(1)
  await cluster.leader()
  await cluster.wait(cluster.at(1).replica.read())
  assert.equal(machine.values.get('a'), 1)
  await cluster.close()
})

test('the same calls at the same times have the same course', async () => {
  const course = async (): Promise<string> => {
    const cluster = await NodeCluster.open({ seed: 7 })
    const calls: Promise<unknown>[] = []
    for (let round = 0; round < 20; round++) {
      for (const id of cluster.members.keys()) calls.push(cluster.propose(id, { key: `k${round % 3}`, add: id }))
      await cluster.clock.pass(7)
      if (round === 9) await cluster.kill(await cluster.leader())
    }
    await cluster.wait(Promise.allSettled(calls))
    const seen = [...cluster.members].map(([id, { machine, replica }]) => [id, machine.log, replica.status.term])
    await cluster.close()
    return JSON.stringify([seen, cluster.clock.monotonic()])
  }
  assert.equal(await course(), await course())
})
