import assert from 'node:assert/strict'
import { memoryBus } from '@aaas/core-cloud/bus'
import { defineContract } from '@aaas/core-cloud/contract'
import { CloudError } from '@aaas/core-cloud/kernel'
import { ManualClock, seededIds } from '@aaas/testing'
import { test } from 'tap'
import { Type } from 'typebox'
import { openHa } from '../../src/ha/ha.js'
import { ContractMachine, defineMachine } from '../../src/ha/wrap/contract-machine.js'
import { CoreGroup } from './coordination/core-group.js'

const Level = Type.Object({ left: Type.Integer(), at: Type.Integer() })
const contract = defineContract({
  name: 'test.stock',
  version: '1.0.0',
  methods: {
    take: {
      summary: 'Takes some.',
      input: Type.Object({ sku: Type.String(), count: Type.Integer({ minimum: 1 }) }),
      output: Level,
      errors: ['core.ha.conflict'],
    },
    level: { summary: 'How many there are.', input: Type.Object({ sku: Type.String() }), output: Level },
  },
})

interface Stock {
  readonly levels: Record<string, { left: number; at: number }>
}

const stock = defineMachine({
  contract,
  version: 2,
  initial: (): Stock => ({ levels: { tea: { left: 100, at: 0 } } }),
  commands: {
    take(state, { sku, count }, { at }) {
      const level = state.levels[sku]
      if (level === undefined || level.left < count) throw new CloudError('core.ha.conflict', `no ${count} of ${sku}`)
      level.left -= count
      level.at = at
      return level
    },
  },
  queries: { level: (state, { sku }) => state.levels[sku] ?? { left: 0, at: 0 } },
  load: (saved, version) => (version === 1 ? { levels: saved as Stock['levels'] } : (saved as Stock)),
})

async function world() {
  const clock = new ManualClock()
  const bus = memoryBus({ clock })
  const machines = [1, 2, 3].map(() => new ContractMachine(stock))
  const group = new CoreGroup(clock, machines)
  while (group.leader === undefined) await clock.pass(100)
  const members = machines.map((machine, at) => ({
    machine,
    replica: group.members[at]!,
    service: openHa({ clock, ids: seededIds(at + 1), bus }).wrap(contract, {
      mode: 'replicated',
      definition: stock,
      member: { replica: group.members[at]!, machine },
      read: { level: 'linearizable' },
    }),
  }))
  const call = async <T>(promise: Promise<T>): Promise<T> => {
    let done = false
    const end = (): void => {
      done = true
    }
    promise.then(end, end)
    for (let passed = 0; !done && passed < 30_000; passed += 20) await clock.pass(20)
    return await promise
  }
  const outside = openHa({ clock, ids: seededIds(9), bus }).wrap(contract, { mode: 'replicated', definition: stock })
  return { clock, group, members, call, outside }
}

test('a command is seen by a query anywhere, and refused everywhere alike', async () => {
  const { members, call } = await world()
  for (const [at, { service }] of members.entries()) {
    const { left } = await call(service.client.take({ sku: 'tea', count: 10 }))
    assert.equal(left, 90 - 10 * at)
    const seen = await call(members[(at + 1) % 3]!.service.client.level({ sku: 'tea' }))
    assert.equal(seen.left, left)
  }
  await assert.rejects(call(members[0]!.service.client.take({ sku: 'tea', count: 71 })), { code: 'core.ha.conflict' })
  const wrong = call(members[0]!.service.client.take({ sku: 'tea', count: 0 }))
  await assert.rejects(wrong, { code: 'core.contract.invalid-input', field: 'count' })
  const level = await call(members[0]!.service.client.level({ sku: 'tea' }))
  level.left = 0
  assert.equal((await call(members[0]!.service.client.level({ sku: 'tea' }))).left, 70)
})

test('others call over the bus, and go on when a member dies', async () => {
  const { members, group, call, outside } = await world()
  for (const { service } of members) await call(service.provide())
  let taken = 0
  for (let n = 0; n < 20; n++) {
    await call(outside.client.take({ sku: 'tea', count: 1 }))
    taken += 1
    assert.equal((await call(outside.client.level({ sku: 'tea' }))).left, 100 - taken)
  }
  const { leader } = group
  leader?.stop()
  // Reads are repeated at other members; a command whose outcome is not known is not.
  for (let n = 0; n < 10; n++) await call(outside.client.level({ sku: 'tea' }))
  const before = (await call(outside.client.level({ sku: 'tea' }))).left
  assert.equal(before, 100 - taken)
})

test('a snapshot brings the state over, also one of an older form, and none of a newer', async () => {
  const { members, call } = await world()
  await call(members[0]!.service.client.take({ sku: 'tea', count: 42 }))
  const copy = new ContractMachine(stock)
  await copy.restore(members[0]!.machine.snapshot())
  assert.equal((copy.query('level', { sku: 'tea' }) as { readonly left: number }).left, 58)
  assert.equal(copy.applied, members[0]!.machine.applied)
  const old = new ContractMachine({ ...stock, version: 1, save: state => state.levels })
  await copy.restore(old.snapshot())
  assert.equal((copy.query('level', { sku: 'tea' }) as { readonly left: number }).left, 100)
  const newer = new ContractMachine({ ...stock, version: 3 })
  await assert.rejects(copy.restore(newer.snapshot()), { code: 'core.ha.newer-version' })
  const torn = async function* () {
    yield new Uint8Array([0, 0, 1])
  }
  await assert.rejects(copy.restore(torn()), { code: 'core.ha.corrupt' })
  assert.equal((copy.query('level', { sku: 'tea' }) as { readonly left: number }).left, 100)
})

test('a method that is neither or both, and a group of two, are refused', async () => {
  const { clock, members, outside } = await world()
  assert.throws(() => defineMachine({ ...stock, queries: {} }), /must be a command or a query/)
  assert.throws(() => defineMachine({ ...stock, version: 0 }), /version/)
  const group = new CoreGroup(clock, [new ContractMachine(stock), new ContractMachine(stock)])
  const member = { replica: group.members[0]!, machine: new ContractMachine(stock) }
  const ha = openHa({ clock, ids: seededIds() })
  const two = () => ha.wrap(contract, { mode: 'replicated', definition: stock, member })
  assert.throws(two, { code: 'core.ha.no-quorum' })
  assert.throws(() => ha.wrap(contract, { mode: 'replicated', definition: stock }), { field: 'bus' })
  assert.throws(
    () => ha.wrap(contract, { mode: 'replicated', definition: stock, member: members[0]!, read: 'fresh' as never }),
    { field: 'read' },
  )
  await assert.rejects(outside.provide(), { code: 'core.ha.invalid-argument', field: 'member' })
  group.close()
})
