import assert from 'node:assert/strict'
import {
  type Arbitrary,
  array,
  boolean,
  assert as check,
  integer,
  option,
  property,
  record,
  uniqueArray,
} from 'fast-check'
import { test } from 'tap'
import { committedIndex, tally } from '../../src/ha/raft/quorum.js'

// The definitions again, as dumb as can be: try every number, count heads.
function slowIndex(voters: readonly number[], has: (node: number) => number): number {
  if (voters.length === 0) return Number.POSITIVE_INFINITY
  for (let index = 20; index > 0; index--) {
    if (voters.filter(voter => has(voter) >= index).length * 2 > voters.length) return index
  }
  return 0
}

function slowVote(voters: readonly number[], votes: ReadonlyMap<number, boolean>): 'won' | 'lost' | 'pending' {
  if (voters.length === 0) return 'won'
  const yes = voters.filter(voter => votes.get(voter) === true).length
  const open = voters.filter(voter => !votes.has(voter)).length
  if (yes * 2 > voters.length) return 'won'
  return (yes + open) * 2 > voters.length ? 'pending' : 'lost'
}

const nodes = uniqueArray(integer({ min: 1, max: 9 }), { maxLength: 9 })
const acked: Arbitrary<readonly number[]> = array(integer({ min: 0, max: 20 }), { minLength: 10, maxLength: 10 })
const ballots = array(option(boolean()), { minLength: 10, maxLength: 10 })

test('the committed index of one and of two halves is what counting says', async () => {
  const world = record({ voters: nodes, outgoing: nodes, acked })
  check(
    property(world, ({ voters, outgoing, acked: has }) => {
      const of = (node: number): number => has[node] as number
      assert.equal(committedIndex({ voters, outgoing: [] }, of), slowIndex(voters, of))
      assert.equal(committedIndex({ voters, outgoing }, of), Math.min(slowIndex(voters, of), slowIndex(outgoing, of)))
    }),
    { numRuns: 20_000 },
  )
})

test('elections of one and of two halves are won and lost as counting says', async () => {
  const world = record({ voters: nodes, outgoing: nodes, ballots })
  check(
    property(world, ({ voters, outgoing, ballots: cast }) => {
      const votes = new Map(cast.flatMap((vote, node) => (vote === null ? [] : [[node, vote] as const])))
      assert.equal(tally({ voters, outgoing: [] }, votes), slowVote(voters, votes))
      const halves = [slowVote(voters, votes), slowVote(outgoing, votes)]
      const joint = halves.includes('lost') ? 'lost' : halves.includes('pending') ? 'pending' : 'won'
      assert.equal(tally({ voters, outgoing }, votes), joint)
    }),
    { numRuns: 20_000 },
  )
})

test('an empty half agrees with everything; the same half twice is one majority', async () => {
  check(
    property(nodes, acked, (voters, has) => {
      const of = (node: number): number => has[node] as number
      assert.equal(committedIndex({ voters, outgoing: voters }, of), committedIndex({ voters, outgoing: [] }, of))
      assert.equal(committedIndex({ voters: [], outgoing: voters }, of), committedIndex({ voters, outgoing: [] }, of))
    }),
  )
})
