import assert from 'node:assert/strict'
import type { NodeId } from '@aaas/core-cloud/ha'
import { CloudError } from '@aaas/core-cloud/kernel'
import { checkLinearizable, type HistoryCall, type SequentialModel, seededRandom } from '@aaas/testing'
import { test } from 'tap'
import { answer, command, NodeCluster } from './node-cluster.js'

const nodes: readonly NodeId[] = [1, 2, 3]

test('connections that end again and again: every command that was answered is applied once', async () => {
  const random = seededRandom(11)
  const cluster = await NodeCluster.open({ seed: 11, limits: { retryMs: 300 } })
  const numbers = nodes.map(() => [] as number[])
  let running = true
  const clients = nodes.map(async (id, place) => {
    for (let count = 0; running; count++) {
      const calls = Array.from({ length: 5 }, (_, part) => {
        const mark = id * 1_000_000 + count * 10 + part
        numbers[place]?.push(mark)
        return cluster.propose(id, { key: 'sum', add: 1, mark })
      })
      await Promise.all(calls)
    }
  })
  for (let fault = 0; fault < 150; fault++) {
    await cluster.clock.pass(5 + random() * 40)
    const [one, other] = [1 + Math.floor(random() * 3), 1 + Math.floor(random() * 3)]
    if (one !== other) cluster.hub.reset(one, other)
  }
  running = false
  await cluster.wait(Promise.all(clients))
  const wanted = numbers.flat()
  assert(wanted.length > 500, `only ${wanted.length} commands`)
  for (const id of nodes) {
    await cluster.wait(cluster.at(id).replica.read())
    const { machine } = cluster.at(id)
    assert.equal(machine.values.get('sum'), wanted.length)
    const marks = machine.log.map(([, text]) => (JSON.parse(text) as { mark: number }).mark)
    assert.deepEqual(marks.toSorted(), wanted.toSorted())
  }
  await cluster.close()
})

type Input = { readonly kind: 'put' | 'get'; readonly value: number | undefined }
type Output = { readonly value: number | undefined }
type Call = HistoryCall<Input, Output> & { readonly key: string }

const register: SequentialModel<number | undefined, Input, Output> = {
  initial: undefined,
  step(state, input, output) {
    if (input.kind === 'put') return { state: input.value }
    return output === undefined || output.value === state ? { state } : undefined
  },
  key: String,
}

test('nodes that are killed and started while clients write and read: what they saw is linearizable', async () => {
  for (const seed of [1, 2, 3]) {
    const history = await storm(seed)
    for (const key of ['a', 'b']) {
      const calls = history.filter(call => call.key === key)
      const verdict = checkLinearizable(register, calls)
      assert(verdict.linearizable, `seed ${seed}, ${key}: ${JSON.stringify(verdict.stuck)}`)
    }
    assert(history.length > 300, `${history.length} calls`)
  }
})

async function storm(seed: number): Promise<readonly Call[]> {
  const random = seededRandom(seed)
  const cluster = await NodeCluster.open({ seed, limits: { callMs: 2_000, snapshotEntries: 60, keepEntries: 5 } })
  const history: Call[] = []
  let running = true
  let value = 0
  // One process: the order of what happens is known, and finer than the clock.
  let moment = 0
  const call = async (client: number, key: string, kind: 'put' | 'get'): Promise<void> => {
    const ids = [...cluster.members.keys()]
    const { replica, machine } = cluster.at(ids[Math.floor(random() * ids.length)] as NodeId)
    value += 1
    const input = { kind, value: kind === 'put' ? value : undefined }
    const startedAt = ++moment
    const begun = { client, key, input, startedAt }
    try {
      let seen: number | undefined
      if (kind === 'put') await replica.propose(command({ key, put: value }))
      else {
        await replica.read()
        seen = machine.values.get(key)
      }
      history.push({ ...begun, endedAt: ++moment, output: { value: seen } })
    } catch (error) {
      // Not applied, and a read that failed: nothing happened. Otherwise it may have, at any later time.
      assert(CloudError.is(error))
      const unknown = CloudError.is(error, 'core.ha.outcome-unknown')
      assert(unknown || CloudError.is(error, 'core.ha.unavailable') || CloudError.is(error, 'core.ha.stopped'))
      if (unknown) history.push(begun)
    }
  }
  const clients = Array.from({ length: 5 }, async (_, client) => {
    while (running) {
      await call(client, random() < 0.5 ? 'a' : 'b', random() < 0.5 ? 'put' : 'get')
      await new Promise(resolve => setImmediate(resolve))
    }
  })
  for (let kill = 0; kill < 12; kill++) {
    await cluster.clock.pass(100 + random() * 400)
    const leader = [...cluster.members.values()].find(({ replica }) => replica.status.role === 'leader')?.node.self
    const victim = random() < 0.7 && leader !== undefined ? leader : 1 + Math.floor(random() * 3)
    await cluster.kill(victim)
    await cluster.clock.pass(50 + random() * 700)
    await cluster.start(victim)
  }
  running = false
  await cluster.wait(Promise.all(clients))
  await cluster.close()
  return history
}

test('a member that was away for long gets a snapshot, with the memory of who asked for what', async () => {
  const cluster = await NodeCluster.open({ limits: { snapshotEntries: 50, keepEntries: 5, snapshotChunkBytes: 700 } })
  const leader = await cluster.leader()
  const slow = await cluster.follower()
  await cluster.kill(slow)
  for (let round = 0; round < 300; round++) {
    await cluster.wait(cluster.propose(leader, { key: `key ${round}`, put: round }))
  }
  const { machine, replica } = await cluster.start(slow)
  await cluster.wait(replica.read())
  assert.equal(machine.values.get('key 299'), 299)
  assert.equal(machine.values.size, 300)
  assert(machine.log.length < 100, `${machine.log.length} commands were applied one by one`)
  const { result } = await cluster.wait(cluster.propose(slow, { key: 'own', add: 1 }))
  assert.equal(answer(result).value, 1)
  await cluster.close()
})

test('a member that misses its own command, but gets a snapshot with it, answers it', async () => {
  const cluster = await NodeCluster.open({ limits: { snapshotEntries: 50, keepEntries: 5, callMs: 30_000 } })
  const leader = await cluster.leader()
  const slow = await cluster.follower()
  await cluster.wait(cluster.propose(slow, { key: 'own', add: 1 }))
  // It can speak, and hears nothing.
  const hear = cluster.hub.at(slow)
  assert(hear !== undefined)
  const take = hear.take.bind(hear)
  hear.take = () => undefined
  const call = cluster.propose(slow, { key: 'own', add: 1 })
  await cluster.until('it is applied elsewhere', () => cluster.at(leader).machine.values.get('own') === 2)
  for (let round = 0; round < 200; round++) {
    await cluster.wait(cluster.propose(leader, { key: 'other', put: round }))
  }
  hear.take = take
  const { result } = await cluster.wait(call)
  assert.equal(answer(result).value, 2)
  assert(cluster.at(slow).machine.log.length < 100, 'it got the log, not a snapshot')
  await cluster.close()
})

test('a session that was idle for too long is opened again, unseen by the caller', async () => {
  const cluster = await NodeCluster.open({ group: { sessions: { idleEntries: 30 } } })
  const [one, other] = [await cluster.leader(), await cluster.follower()]
  await cluster.wait(cluster.propose(other, { key: 'a', add: 1 }))
  for (let round = 0; round < 100; round++) await cluster.wait(cluster.propose(one, { key: 'b', add: 1 }))
  await cluster.wait(Promise.all(Array.from({ length: 10 }, () => cluster.propose(other, { key: 'a', add: 1 }))))
  assert.equal(cluster.at(other).machine.values.get('a'), 11)
  await cluster.close()
})

test('everything is there after all nodes were killed and started again', async () => {
  const cluster = await NodeCluster.open({ limits: { snapshotEntries: 40, keepEntries: 5 } })
  for (let round = 0; round < 100; round++) {
    await cluster.wait(cluster.propose(nodes[round % 3] as NodeId, { key: 'a', add: 1 }))
  }
  for (const id of nodes) await cluster.kill(id)
  for (const id of nodes) await cluster.start(id)
  await cluster.leader()
  for (const id of nodes) {
    await cluster.wait(cluster.at(id).replica.read())
    assert.equal(cluster.at(id).machine.values.get('a'), 100)
  }
  await cluster.close()
})
