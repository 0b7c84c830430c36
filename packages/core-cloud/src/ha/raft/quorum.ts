import type { Membership, NodeId } from './types.js'

/** An empty half of a joint configuration agrees with everything. */
export type VoteOutcome = 'won' | 'lost' | 'pending'

type Voters = Pick<Membership, 'voters' | 'outgoing'>

/** The largest index that a majority has; of a joint configuration the smaller one of both halves. */
export function committedIndex({ voters, outgoing }: Voters, has: (node: NodeId) => number): number {
  return Math.min(majorityIndex(voters, has), majorityIndex(outgoing, has))
}

function majorityIndex(voters: readonly NodeId[], has: (node: NodeId) => number): number {
  if (voters.length === 0) return Number.POSITIVE_INFINITY
  const sorted = voters.map(has).sort((a, b) => b - a)
  return sorted[Math.floor(voters.length / 2)] as number
}

/** @param votes - by node; without an entry: not answered yet. */
export function tally({ voters, outgoing }: Voters, votes: ReadonlyMap<NodeId, boolean>): VoteOutcome {
  const [one, other] = [majorityVote(voters, votes), majorityVote(outgoing, votes)]
  if (one === 'lost' || other === 'lost') return 'lost'
  return one === 'won' && other === 'won' ? 'won' : 'pending'
}

function majorityVote(voters: readonly NodeId[], votes: ReadonlyMap<NodeId, boolean>): VoteOutcome {
  if (voters.length === 0) return 'won'
  const needed = Math.floor(voters.length / 2) + 1
  let granted = 0
  let open = 0
  for (const voter of voters) {
    const vote = votes.get(voter)
    if (vote === undefined) open += 1
    else if (vote) granted += 1
  }
  if (granted >= needed) return 'won'
  return granted + open >= needed ? 'pending' : 'lost'
}
