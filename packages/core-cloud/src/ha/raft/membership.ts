import { CloudError } from '../../kernel/errors.js'
import type { MemberChange, Membership, MembershipChange, NodeId } from './types.js'

/** Members of one group at most: every one costs the leader a message per batch. */
export const maxMembers = 64

/** Who a new group starts with. @throws CloudError `core.ha.invalid-membership`. */
export function initialMembership(members: {
  readonly voters: readonly NodeId[]
  readonly learners?: readonly NodeId[]
  readonly witnesses?: readonly NodeId[]
}): Membership {
  const { voters, learners = [], witnesses = [] } = members
  const changes: MemberChange[] = [
    ...voters.map(node => ({ kind: 'add-voter', node }) as const),
    ...witnesses.map(node => ({ kind: 'add-witness', node }) as const),
    ...learners.map(node => ({ kind: 'add-learner', node }) as const),
  ]
  const empty = { voters: [], outgoing: [], learners: [], learnersNext: [], witnesses: [], autoLeave: false }
  return checked(edited(empty, changes))
}

export function isJoint(membership: Membership): boolean {
  return membership.outgoing.length > 0
}

export function isVoter({ voters, outgoing }: Membership, node: NodeId): boolean {
  return voters.includes(node) || outgoing.includes(node)
}

/** Everybody who receives the log, ascending. */
export function membersOf({ voters, outgoing, learners }: Membership): readonly NodeId[] {
  return sorted(new Set([...voters, ...outgoing, ...learners]))
}

/**
 * The membership after a change. The same on every node, so that it may be computed wherever the entry is applied.
 * @throws CloudError `core.ha.invalid-membership` when the change does not fit the present one.
 */
export function changed(membership: Membership, change: MembershipChange): Membership {
  const { changes, transition } = change
  if (changes.length === 0) return left(membership)
  if (isJoint(membership)) throw invalid('changes', 'a change is under way: leave its joint configuration first')
  const next = edited(membership, changes)
  if (transition === 'auto' && differing(membership.voters, next.voters) <= 1) return checked(settled(next))
  return checked({
    ...next,
    outgoing: membership.voters,
    learners: next.learners.filter(node => !membership.voters.includes(node)),
    // A voter of the old half goes on voting there: it can be a learner only afterwards.
    learnersNext: next.learners.filter(node => membership.voters.includes(node)),
    witnesses: sorted(new Set([...next.witnesses, ...membership.witnesses])),
    autoLeave: transition !== 'explicit',
  })
}

function left(membership: Membership): Membership {
  if (!isJoint(membership)) throw invalid('changes', 'there is no joint configuration to leave')
  const { voters, learners, learnersNext } = membership
  return checked(
    settled({ ...membership, outgoing: [], learners: sorted(new Set([...learners, ...learnersNext])), voters }),
  )
}

function settled(membership: Membership): Membership {
  const { voters, witnesses } = membership
  return {
    ...membership,
    learnersNext: [],
    autoLeave: false,
    witnesses: witnesses.filter(node => voters.includes(node)),
  }
}

/** Changes of the lists; later ones win. Removing somebody who is not there is fine. */
function edited(membership: Membership, changes: readonly MemberChange[]): Membership {
  const voters = new Set(membership.voters)
  const learners = new Set(membership.learners)
  const witnesses = new Set(membership.witnesses)
  for (const { kind, node } of changes) {
    if (!Number.isInteger(node) || node < 1 || node > 0xffff_ffff) {
      throw invalid('node', `${node} is no node id: an integer from 1 to 2^32 - 1`)
    }
    if (kind === 'add-witness' ? voters.has(node) && !witnesses.has(node) : kind !== 'remove' && witnesses.has(node)) {
      // A witness has no data to become a full member with, and a full member's log is not one of a witness.
      throw invalid('node', `node ${node} must be removed before it changes between witness and member`)
    }
    voters.delete(node)
    learners.delete(node)
    witnesses.delete(node)
    if (kind === 'add-voter' || kind === 'add-witness') voters.add(node)
    if (kind === 'add-witness') witnesses.add(node)
    if (kind === 'add-learner') learners.add(node)
  }
  return { ...membership, voters: sorted(voters), learners: sorted(learners), witnesses: sorted(witnesses) }
}

function checked(membership: Membership): Membership {
  const { voters, witnesses } = membership
  if (voters.length === 0) throw invalid('changes', 'no voter would be left')
  if (voters.every(node => witnesses.includes(node))) throw invalid('changes', 'only witnesses would be left')
  const members = membersOf(membership).length
  if (members > maxMembers) throw invalid('changes', `${members} members; at most ${maxMembers} are possible`)
  return membership
}

function differing(before: readonly NodeId[], after: readonly NodeId[]): number {
  const added = after.filter(node => !before.includes(node)).length
  return added + before.filter(node => !after.includes(node)).length
}

function sorted(nodes: ReadonlySet<NodeId>): readonly NodeId[] {
  return [...nodes].sort((a, b) => a - b)
}

function invalid(field: string, reason: string): CloudError {
  return new CloudError('core.ha.invalid-membership', reason, { field })
}

/** A change as the data of an entry: JSON, at most a few hundred bytes. */
export function encodeChange(change: MembershipChange): Uint8Array {
  return Buffer.from(JSON.stringify(change))
}

/** @throws CloudError `core.ha.invalid-membership` for bytes that are no change. */
export function decodeChange(data: Uint8Array): MembershipChange {
  try {
    const { changes, transition } = JSON.parse(Buffer.from(data).toString('utf8')) as MembershipChange
    const kinds = ['add-voter', 'add-witness', 'add-learner', 'remove']
    const sound = changes.every(({ kind, node }) => kinds.includes(kind) && Number.isInteger(node))
    if (sound && ['auto', 'implicit', 'explicit'].includes(transition)) return { changes, transition }
  } catch {
    // Said below.
  }
  throw invalid('data', 'the entry holds no membership change')
}
