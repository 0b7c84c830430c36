import { startLeading } from './leader.js'
import type { RaftCore } from './raft-core.js'
import type { VoteReply, VoteRequest } from './types.js'

/**
 * Tries to become leader: because no leader was heard of for long (`timeout`), because the leader wants it (`transfer`),
 * or because somebody asked for it (`wish`).
 */
export function tryElection(core: RaftCore, why: 'timeout' | 'transfer' | 'wish'): void {
  if (core.role === 'leader' || !core.electable || changesUnapplied(core)) return
  // The own vote is bound like every other: who has answered a leader's heartbeat has lent it that time.
  const { preVote } = core.options
  if (why === 'wish' && core.lent) return
  // A transfer skips the pre-vote: the leader itself wants the change.
  core.campaign(preVote && why !== 'transfer' ? 'pre-vote' : 'vote', why === 'transfer')
}

/** A node whose membership is not that of its committed log could win by the voters of a past configuration. */
function changesUnapplied({ log }: RaftCore): boolean {
  for (let index = log.applied + 1; index <= log.committed; index++) {
    if (log.at(index)?.kind === 'membership') return true
  }
  return false
}

/** Any role, once the term of the request has been dealt with. Learners vote too: they may have been promoted. */
export function answerVote(core: RaftCore, request: VoteRequest): void {
  const { log, id } = core
  const pre = request.type === 'pre-vote'
  const free =
    core.vote === request.from ||
    (core.vote === 0 && core.leader === 0) ||
    // A pre-vote promises nothing: it may go to several.
    (pre && request.term > core.term)
  const lent = core.lent && !request.force
  const granted = free && !lent && log.isUpToDate(request.lastIndex, request.lastTerm)
  if (granted && !pre) {
    core.vote = request.from
    core.electionElapsed = 0
  }
  const type = pre ? 'pre-vote-reply' : 'vote-reply'
  const term = granted ? request.term : core.term
  core.after.push({ type, from: id, to: request.from, term, granted, ...core.commitNews() })
  learnCommit(core, request)
}

/** A (pre-)candidate hears of a vote. */
export function takeVote(core: RaftCore, reply: VoteReply): void {
  learnCommit(core, reply)
  if (reply.type !== (core.role === 'pre-candidate' ? 'pre-vote-reply' : 'vote-reply')) return
  const outcome = core.countVote(reply.from, reply.granted)
  if (outcome === 'lost') core.becomeFollower(core.term, 0)
  else if (outcome === 'won') {
    if (core.role === 'pre-candidate') core.campaign('vote')
    else startLeading(core)
  }
}

/** Somebody knows an entry that is here to be committed. A leader counts for itself. */
function learnCommit({ role, log }: RaftCore, { commit, commitTerm }: VoteRequest | VoteReply): void {
  if (role !== 'leader' && log.term(commit) === commitTerm) log.commitTo(commit)
}
