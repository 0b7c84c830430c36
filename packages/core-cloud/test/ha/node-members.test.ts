import assert from 'node:assert/strict'
import type { MembershipChange, NodeId } from '@aaas/core-cloud/ha'
import { test } from 'tap'
import { NodeCluster } from './node-cluster.js'

const add = (node: NodeId): MembershipChange => ({ changes: [{ kind: 'add-voter', node }], transition: 'auto' })
const remove = (node: NodeId): MembershipChange => ({ changes: [{ kind: 'remove', node }], transition: 'auto' })

test('a node is added, works, and is removed; asked on any member', async () => {
  const cluster = await NodeCluster.open({ limits: { snapshotEntries: 20, keepEntries: 5 } })
  for (let round = 0; round < 60; round++) await cluster.wait(cluster.propose(1, { key: 'a', add: 1 }))
  const fourth = await cluster.start(4)
  const follower = await cluster.follower()
  await cluster.wait(cluster.at(follower).replica.change(add(4)))
  assert.deepEqual(cluster.at(await cluster.leader()).replica.status.membership.voters, [1, 2, 3, 4])
  await cluster.wait(cluster.propose(4, { key: 'a', add: 1 }))
  await cluster.wait(fourth.replica.read())
  assert.equal(fourth.machine.values.get('a'), 61)
  const leader = await cluster.leader()
  await cluster.wait(cluster.at(leader).replica.change(remove(4)))
  assert.deepEqual(cluster.at(leader).replica.status.membership.voters, [1, 2, 3])
  await cluster.close()
})

test('a dead node is replaced in one change, and the leader removes itself', async () => {
  const cluster = await NodeCluster.open()
  await cluster.wait(cluster.propose(1, { key: 'a', add: 1 }))
  const dead = await cluster.follower()
  await cluster.kill(dead)
  await cluster.start(4)
  const leader = await cluster.leader()
  const change = { changes: [...remove(dead).changes, ...add(4).changes], transition: 'auto' } as const
  await cluster.wait(cluster.at(leader).replica.change(change))
  await cluster.wait(cluster.propose(4, { key: 'a', add: 1 }))
  await cluster.start(5)
  const self = { changes: [...remove(leader).changes, ...add(5).changes], transition: 'auto' } as const
  await cluster.wait(cluster.at(leader).replica.change(self))
  await cluster.until('others lead', () => {
    const led = cluster.at(5).replica.status.leader
    return led !== 0 && led !== leader
  })
  await cluster.wait(cluster.propose(5, { key: 'a', add: 1 }))
  assert.equal(cluster.at(5).machine.values.get('a'), 3)
  await cluster.close()
})

test('what is impossible is refused with its reason', async () => {
  const cluster = await NodeCluster.open()
  const leader = await cluster.leader()
  for (const id of [leader, await cluster.follower()]) {
    const { replica } = cluster.at(id)
    await assert.rejects(cluster.wait(replica.change(remove(3))), { code: 'core.ha.no-quorum', field: 'voters' })
    await assert.rejects(cluster.wait(replica.change(add(0))), { code: 'core.ha.invalid-membership', field: 'node' })
    await assert.rejects(cluster.wait(replica.change({ changes: [], transition: 'explicit' })), {
      code: 'core.ha.invalid-membership',
    })
    await assert.rejects(cluster.wait(replica.transfer(9)), { code: 'core.ha.invalid-membership', field: 'target' })
  }
  await cluster.close()
})

test('leadership is handed over, from any member, while commands go on', async () => {
  const cluster = await NodeCluster.open()
  let running = true
  let done = 0
  const client = (async () => {
    while (running) {
      await cluster.propose(1, { key: 'a', add: 1 })
      done += 1
    }
  })()
  for (const asked of [1, 2, 3]) {
    for (const target of [1, 2, 3]) {
      await cluster.wait(cluster.at(asked).replica.transfer(target))
      assert.equal(cluster.at(asked).replica.status.leader, target)
      const before = done
      await cluster.until('commands go on', () => done > before + 3)
    }
  }
  running = false
  await cluster.wait(client)
  assert.equal(cluster.at(1).machine.values.get('a'), done)
  await cluster.close()
})

test('who listens hears of every leader', async () => {
  const cluster = await NodeCluster.open()
  const seen: string[] = []
  const follower = await cluster.follower()
  const leader = await cluster.leader()
  const end = cluster.at(follower).replica.onStatus(({ role, leader }) => seen.push(`${role} ${leader}`))
  await cluster.wait(cluster.at(follower).replica.transfer(follower))
  assert.equal(seen.at(-1), `leader ${follower}`)
  end()
  const before = seen.length
  await cluster.wait(cluster.at(follower).replica.transfer(leader))
  assert.equal(seen.length, before)
  await cluster.close()
})
