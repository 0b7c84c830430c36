import assert from 'node:assert/strict'
import { CloudError } from '@aaas/core-cloud/kernel'
import { array, assert as check, constantFrom, integer, property, record } from 'fast-check'
import { test } from 'tap'
import { changed, decodeChange, encodeChange, initialMembership, maxMembers } from '../../src/ha/raft/membership.js'
import type { MemberChange, Membership, MembershipChange } from '../../src/ha/raft/types.js'

const three = initialMembership({ voters: [1, 2, 3] })
const auto = (...changes: MemberChange[]): MembershipChange => ({ changes, transition: 'auto' })
const leave: MembershipChange = { changes: [], transition: 'explicit' }
const refused = (field: string) => (error: unknown) =>
  CloudError.is(error, 'core.ha.invalid-membership') && error.field === field

test('one voter more or less needs no joint configuration', async () => {
  assert.deepEqual(changed(three, auto({ kind: 'add-voter', node: 4 })).voters, [1, 2, 3, 4])
  assert.deepEqual(changed(three, auto({ kind: 'remove', node: 2 })).voters, [1, 3])
  assert.deepEqual(changed(three, auto({ kind: 'add-voter', node: 4 })).outgoing, [])
  assert.deepEqual(changed(three, auto({ kind: 'add-learner', node: 9 })).learners, [9])
})

test('removing somebody who is not there, and adding somebody who is, change nothing', async () => {
  assert.deepEqual(changed(three, auto({ kind: 'remove', node: 7 })), three)
  assert.deepEqual(changed(three, auto({ kind: 'add-voter', node: 2 })), three)
})

test('two voters at once go through a joint configuration; no second change before it is left', async () => {
  const joint = changed(three, auto({ kind: 'add-voter', node: 4 }, { kind: 'remove', node: 1 }))
  assert.deepEqual([joint.voters, joint.outgoing, joint.autoLeave], [[2, 3, 4], [1, 2, 3], true])
  assert.throws(() => changed(joint, auto({ kind: 'add-voter', node: 5 })), refused('changes'))
  const after = changed(joint, leave)
  assert.deepEqual([after.voters, after.outgoing, after.autoLeave], [[2, 3, 4], [], false])
  assert.throws(() => changed(after, leave), refused('changes'))
})

test('a voter that becomes a learner votes in the old half until that is left', async () => {
  const joint = changed(three, { changes: [{ kind: 'add-learner', node: 3 }], transition: 'explicit' })
  assert.deepEqual([joint.voters, joint.outgoing, joint.learners, joint.learnersNext], [[1, 2], [1, 2, 3], [], [3]])
  assert.deepEqual(changed(joint, leave).learners, [3])
})

test('refused: no voter left, only witnesses left, no node id, too many, witness to voter in one step', async () => {
  const one = initialMembership({ voters: [1] })
  assert.throws(() => changed(one, auto({ kind: 'remove', node: 1 })), refused('changes'))
  assert.throws(() => initialMembership({ voters: [] }), refused('changes'))
  assert.throws(() => initialMembership({ voters: [], witnesses: [1] }), refused('changes'))
  const witnessed = initialMembership({ voters: [1, 2], witnesses: [3] })
  assert.throws(() => changed(witnessed, auto({ kind: 'add-voter', node: 3 })), refused('node'))
  assert.throws(() => changed(witnessed, auto({ kind: 'add-witness', node: 2 })), refused('node'))
  for (const node of [0, -1, 1.5, 2 ** 32, Number.NaN]) {
    assert.throws(() => changed(three, auto({ kind: 'add-voter', node })), refused('node'))
  }
  const learners = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 10)
  assert.equal(initialMembership({ voters: [1], learners: learners(maxMembers - 1) }).learners.length, maxMembers - 1)
  assert.throws(() => initialMembership({ voters: [1], learners: learners(maxMembers) }), refused('changes'))
})

test('bytes that are no change are refused by name', async () => {
  const change = auto({ kind: 'add-witness', node: 5 })
  assert.deepEqual(decodeChange(encodeChange(change)), change)
  for (const text of ['', 'x', '{}', '{"changes":[{"kind":"add","node":1}],"transition":"auto"}', '[]', 'null']) {
    assert.throws(() => decodeChange(Buffer.from(text)), refused('data'))
  }
})

test('any two configurations one step apart share a member of every majority', async () => {
  const one = record({
    kind: constantFrom('add-voter' as const, 'add-learner' as const, 'remove' as const),
    node: integer({ min: 1, max: 6 }),
  })
  const walk = array(array(one, { minLength: 1, maxLength: 3 }), { maxLength: 12 })
  check(
    property(walk, steps => {
      let membership: Membership = three
      for (const changes of steps) {
        let next: Membership
        try {
          next = changed(membership, membership.outgoing.length > 0 ? leave : auto(...changes))
        } catch (error) {
          assert(CloudError.is(error, 'core.ha.invalid-membership'))
          continue
        }
        for (const a of quorums(membership)) for (const b of quorums(next)) assert(a.some(node => b.includes(node)))
        membership = next
      }
    }),
    { numRuns: 300 },
  )
})

/** Every smallest set of nodes that can elect and commit. */
function quorums({ voters, outgoing }: Membership): readonly (readonly number[])[] {
  const all = [...new Set([...voters, ...outgoing])]
  const sets = Array.from({ length: 2 ** all.length }, (_, mask) =>
    all.filter((_node, bit) => (mask & (1 << bit)) !== 0),
  )
  const majority = (half: readonly number[], set: readonly number[]): boolean =>
    half.length === 0 || half.filter(node => set.includes(node)).length * 2 > half.length
  return sets.filter(set => majority(voters, set) && majority(outgoing, set))
}
