import type { RaftCore } from './raft-core.js'
import type { AppendReply, AppendRequest, Heartbeat, InstallSnapshot } from './types.js'

/** A message that only the leader of the present term sends. */
export function followLeader(core: RaftCore, message: AppendRequest | Heartbeat | InstallSnapshot): void {
  // Two leaders of one term would be the end of everything: it cannot be reached with honest disks.
  if (core.role === 'leader') throw new Error(`two leaders of term ${core.term}: ${core.id} and ${message.from}`)
  if (core.role !== 'follower') core.becomeFollower(core.term, message.from)
  core.electionElapsed = 0
  core.lentUntil = core.now + core.options.electionTicks
  core.leader = message.from
  if (message.type === 'append') takeEntries(core, message)
  else if (message.type === 'snapshot') takeSnapshot(core, message)
  else takeHeartbeat(core, message)
}

function takeEntries(core: RaftCore, { from, prevIndex, prevTerm, entries, commit }: AppendRequest): void {
  const { log } = core
  if (prevIndex < log.committed) {
    acknowledge(core, from, log.committed)
    return
  }
  if (log.term(prevIndex) !== prevTerm) {
    const hint = log.meet(Math.min(prevIndex, log.last), prevTerm)
    refuse(core, from, prevIndex, hint)
    return
  }
  const last = log.accept(prevIndex, entries)
  log.commitTo(Math.min(commit, last))
  acknowledge(core, from, last)
}

function takeHeartbeat(core: RaftCore, { from, commit, round }: Heartbeat): void {
  // A leader tells only of what this node has acknowledged; one that lost its disk must not be started again.
  core.log.commitTo(Math.min(commit, core.log.last))
  core.send.push({ type: 'heartbeat-reply', from: core.id, to: from, term: core.term, round })
}

function takeSnapshot(core: RaftCore, { from, snapshot }: InstallSnapshot): void {
  const { log } = core
  // It may be older than this node's membership: the entries behind it add the node.
  if (snapshot.index <= log.committed) {
    acknowledge(core, from, log.committed)
    return
  }
  if (log.term(snapshot.index) === snapshot.term) {
    // Everything of it is here: it tells no more than what is committed.
    log.commitTo(snapshot.index)
    acknowledge(core, from, log.committed)
    return
  }
  log.restore(snapshot)
  core.membership = snapshot.membership
  core.syncProgress()
  acknowledge(core, from, log.last)
}

function acknowledge(core: RaftCore, to: number, index: number): void {
  core.after.push({ ...answer(core, to), index, rejected: false, hintIndex: 0, hintTerm: 0 })
}

function refuse(
  core: RaftCore,
  to: number,
  index: number,
  hint: { readonly index: number; readonly term: number },
): void {
  core.after.push({ ...answer(core, to), index, rejected: true, hintIndex: hint.index, hintTerm: hint.term })
}

function answer(core: RaftCore, to: number): Pick<AppendReply, 'type' | 'from' | 'to' | 'term'> {
  return { type: 'append-reply', from: core.id, to, term: core.term }
}
