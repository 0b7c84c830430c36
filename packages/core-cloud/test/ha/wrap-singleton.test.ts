import assert from 'node:assert/strict'
import { memoryBus } from '@aaas/core-cloud/bus'
import { defineContract } from '@aaas/core-cloud/contract'
import { CloudError } from '@aaas/core-cloud/kernel'
import { ManualClock, seededIds } from '@aaas/testing'
import { test } from 'tap'
import { Type } from 'typebox'
import { CoordinationMachine } from '../../src/ha/coordination/raft/coordination-machine.js'
import { raftCoordination } from '../../src/ha/coordination/raft/raft-coordination.js'
import type { Lease } from '../../src/ha/coordination.js'
import { openHa } from '../../src/ha/ha.js'
import { CoreGroup } from './coordination/core-group.js'

const contract = defineContract({
  name: 'test.settlement',
  version: '1.0.0',
  methods: {
    next: {
      summary: 'Draws the next number.',
      input: Type.Object({}),
      output: Type.Object({ by: Type.String(), token: Type.Integer(), n: Type.Integer() }),
      deadlineMs: 20_000,
    },
    slow: { summary: 'Takes a second.', input: Type.Object({}), output: Type.String(), deadlineMs: 20_000 },
    watch: {
      summary: 'Streams.',
      input: Type.Object({}),
      output: Type.Null(),
      stream: 'out',
      itemOutput: Type.String(),
    },
  },
})

/** Three processes of one service; each may be the one. */
async function world() {
  const clock = new ManualClock()
  const bus = memoryBus({ clock })
  const machines = [1, 2, 3].map(() => new CoordinationMachine())
  const group = new CoreGroup(clock, machines)
  while (group.leader === undefined) await clock.pass(100)
  const leases: Lease[] = []
  let drawn = 0
  const nodes = machines.map((machine, at) => {
    const ids = seededIds(at + 1)
    const coordination = raftCoordination({ clock, ids, node: `n${at}`, replica: group.members[at]!, machine })
    const service = openHa({ clock, ids, bus, coordination }).wrap(contract, { mode: 'singleton', ttlMs: 1_000 })
    const provide = () =>
      service.provide(lease => {
        leases.push(lease)
        return {
          next: async () => {
            drawn += 1
            return { by: `n${at}`, token: lease.token, n: drawn }
          },
          slow: async () => {
            await new Promise<void>(resolve => clock.after(1_000, resolve))
            return `n${at}`
          },
          async *watch() {
            yield `n${at}`
          },
        }
      })
    return { service, coordination, provide, replica: group.members[at]! }
  })
  const call = async <T>(promise: Promise<T>, ms = 20_000): Promise<T> => {
    let done = false
    const end = (): void => {
      done = true
    }
    promise.then(end, end)
    for (let passed = 0; !done && passed < ms; passed += 50) await clock.pass(50)
    return await promise
  }
  return { clock, group, nodes, leases, call }
}

test('one instance serves, calls of all reach it, and after its death the next one does', async () => {
  const { clock, nodes, leases, call } = await world()
  for (const { provide } of nodes) provide()
  const first = await call(nodes[0]!.service.client.next({}))
  for (const { service } of nodes) {
    const answer = await call(service.client.next({}))
    assert.deepEqual([answer.by, answer.token], [first.by, first.token])
  }
  assert.equal(leases.length, 1)
  const dead = Number(first.by.slice(1))
  nodes[dead]!.replica.stop()
  // It serves on for as long as its lease lasts.
  await clock.pass(1_000)
  const caller = nodes[(dead + 1) % 3]!.service
  const then = await call(caller.client.next({}))
  assert.notEqual(then.by, first.by)
  assert.ok(then.token > first.token)
  assert.ok(leases[0]?.signal.aborted)
})

test('a planned hand-over costs no call, and what runs is finished', async () => {
  const { clock, nodes, leases, call } = await world()
  const candidacies = [nodes[0]!.provide()]
  await call(nodes[2]!.service.client.next({}))
  candidacies.push(nodes[1]!.provide())
  await clock.pass(500)
  const slow = nodes[2]!.service.client.slow({})
  await clock.pass(50)
  const answers: { readonly by: string; readonly n: number }[] = []
  const running: Promise<void>[] = []
  const stopping = candidacies[0]!.stop()
  for (let n = 0; n < 100; n++) {
    running.push(nodes[2]!.service.client.next({}).then(answer => void answers.push(answer)))
    await clock.pass(30)
  }
  await call(Promise.all([...running, stopping]))
  assert.equal(await call(slow), 'n0')
  assert.equal(answers.length, 100)
  assert.equal(new Set(answers.map(({ n }) => n)).size, 100, 'none was done twice')
  assert.equal(answers.at(-1)?.by, 'n1')
  assert.equal(leases.length, 2)
})

test('one that stood still refuses before it begins, and the call goes to the new one', async () => {
  const { clock, nodes, leases, call } = await world()
  nodes[0]!.provide()
  const before = await call(nodes[2]!.service.client.next({}))
  nodes[1]!.provide()
  await clock.pass(300)
  nodes[0]!.replica.paused = true
  const answers = []
  for (let n = 0; n < 60; n++) answers.push(await call(nodes[2]!.service.client.next({})))
  const tokens = answers.map(({ token }) => token)
  assert.deepEqual(
    tokens,
    tokens.toSorted((a, b) => a - b),
  )
  assert.ok((tokens.at(-1) ?? 0) > before.token)
  assert.ok(CloudError.is(leases[0]?.signal.reason, 'core.ha.lost'))
})

test('streams, a deadline with nobody there, and the end of the client', async () => {
  const { clock, nodes, call } = await world()
  const { service, provide } = nodes[0]!
  const nobody = service.client.next({}, { deadline: clock.now() + 500 })
  await assert.rejects(call(nobody), { code: 'core.contract.deadline-exceeded' })
  provide()
  await call(service.client.next({}))
  const items: string[] = []
  await call(
    (async () => {
      for await (const item of service.client.watch({})) items.push(item)
    })(),
  )
  assert.deepEqual(items, ['n0'])
  const waiting = nodes[1]!.service.client.next({}, { deadline: clock.now() + 500 })
  await call(waiting)
  await nodes[1]!.service[Symbol.asyncDispose]()
  await assert.rejects(nodes[1]!.service.client.next({}), { code: 'core.ha.stopped' })
})
