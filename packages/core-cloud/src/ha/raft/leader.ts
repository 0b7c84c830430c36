import { changed, decodeChange, encodeChange, isJoint } from './membership.js'
import type { Progress } from './progress.js'
import { committedIndex, tally } from './quorum.js'
import { empty, type RaftCore } from './raft-core.js'
import { entryBytes } from './raft-log.js'
import type { AppendReply, Entry, HeartbeatReply, NodeId, Proposal, Refusal } from './types.js'

/** The election is won. */
export function startLeading(core: RaftCore): void {
  core.becomeLeader()
  broadcastAppend(core)
}

// ---- proposals

/** @returns why nothing of it was taken, or the index of its last entry. */
export function propose(core: RaftCore, proposals: readonly Proposal[]): Refusal | number {
  if (!core.progress.has(core.id)) return 'not-member'
  if (core.transferee !== 0) return 'transferring'
  const bytes = proposals.reduce((sum, proposal) => sum + entryBytes(proposal), 0)
  const { maxUncommittedBytes } = core.options
  if (core.uncommittedBytes > 0 && core.uncommittedBytes + bytes > maxUncommittedBytes) return 'overloaded'
  let membershipIndex = core.membershipIndex
  for (const [place, { kind, data }] of proposals.entries()) {
    if (kind !== 'membership') continue
    const refusal = refuseChange(core, data, membershipIndex)
    if (refusal !== undefined) return refusal
    membershipIndex = core.log.last + 1 + place
  }
  core.membershipIndex = membershipIndex
  core.uncommittedBytes += bytes
  core.appendOwn(proposals)
  broadcastAppend(core)
  return core.log.last
}

function refuseChange(core: RaftCore, data: Uint8Array, membershipIndex: number): Refusal | undefined {
  if (membershipIndex > core.log.applied) return 'membership-pending'
  try {
    changed(core.membership, decodeChange(data))
    return undefined
  } catch {
    return isJoint(core.membership) ? 'membership-pending' : 'invalid'
  }
}

/** Entries that are committed are not counted as waiting any more. */
export function countCommitted(core: RaftCore, entries: readonly Entry[]): void {
  if (core.role !== 'leader') return
  const bytes = entries.reduce((sum, entry) => sum + (entry.kind === 'noop' ? 0 : entryBytes(entry)), 0)
  core.uncommittedBytes = Math.max(0, core.uncommittedBytes - bytes)
}

// ---- replication

function broadcastAppend(core: RaftCore): void {
  for (const node of core.progress.keys()) if (node !== core.id) sendAppend(core, node, { evenEmpty: true })
}

/** @returns whether something was sent. */
function sendAppend(core: RaftCore, to: NodeId, { evenEmpty }: { readonly evenEmpty: boolean }): boolean {
  const progress = core.progress.get(to)
  if (progress === undefined) return false
  const full = progress.state === 'replicate' && progress.windowFull
  // A full window still lets commit news through.
  if (progress.blocked && !(full && evenEmpty && !progress.paused)) return false
  const { log } = core
  const prevIndex = progress.next - 1
  const prevTerm = log.term(prevIndex)
  if (prevTerm === undefined) return sendSnapshot(core, to, progress)
  const entries =
    full || progress.next > log.last ? [] : log.slice(progress.next, log.last, core.options.maxAppendBytes)
  if (entries.length === 0 && !evenEmpty) return false
  core.send.push({
    type: 'append',
    from: core.id,
    to,
    term: core.term,
    prevIndex,
    prevTerm,
    entries: core.isWitness(to) ? entries.map(withoutData) : entries,
    commit: log.committed,
  })
  const bytes = entries.reduce((sum, entry) => sum + entryBytes(entry), 0)
  progress.sent(entries.length, bytes, log.committed)
  return true
}

/** A witness needs the membership, of everything else only where it is. */
function withoutData(entry: Entry): Entry {
  return entry.kind === 'membership' ? entry : { ...entry, data: empty }
}

function sendSnapshot(core: RaftCore, to: NodeId, progress: Progress): boolean {
  if (!progress.active) return false
  const { snapshot } = core.log
  core.send.push({ type: 'snapshot', from: core.id, to, term: core.term, snapshot })
  progress.awaitSnapshot(snapshot.index)
  return true
}

export function takeAppendReply(core: RaftCore, reply: AppendReply): void {
  const progress = core.progress.get(reply.from)
  if (progress === undefined) return
  progress.active = true
  if (reply.rejected) {
    const meet = reply.hintTerm > 0 ? core.log.meet(reply.hintIndex, reply.hintTerm).index : reply.hintIndex
    if (progress.refused(reply.index, meet)) sendAppend(core, reply.from, { evenEmpty: true })
    return
  }
  const wasBlocked = progress.blocked
  const advanced = progress.acknowledged(reply.index)
  if (!advanced && !(progress.state === 'probe' && progress.match === reply.index)) {
    if (wasBlocked && !progress.blocked) fillWindow(core, reply.from)
    return
  }
  if (progress.state === 'probe') progress.replicate()
  else if (progress.state === 'snapshot' && progress.match >= core.log.offset) {
    progress.probe()
    progress.replicate()
  }
  if (commit(core)) broadcastAppend(core)
  else if (wasBlocked || progress.sentCommit < Math.min(progress.match, core.log.committed)) {
    sendAppend(core, reply.from, { evenEmpty: true })
  }
  fillWindow(core, reply.from)
  if (reply.from === core.transferee && progress.match === core.log.last) sendTimeoutNow(core, reply.from)
}

function fillWindow(core: RaftCore, to: NodeId): void {
  while (sendAppend(core, to, { evenEmpty: false }));
}

/** What this leader wrote is on its own disk. */
export function takeOwnAppend(core: RaftCore): void {
  const own = core.progress.get(core.id)
  if (own === undefined || !own.acknowledged(core.log.stable)) return
  if (commit(core)) broadcastAppend(core)
}

/** @returns whether more is committed. Only entries of the own term are counted (Raft paper, figure 8). */
function commit(core: RaftCore): boolean {
  const index = committedIndex(core.membership, node => core.progress.get(node)?.match ?? 0)
  if (core.log.term(index) !== core.term || !core.log.commitTo(index)) return false
  for (const { from, read } of core.reads.takeEarly()) answerRead(core, from, read)
  return true
}

// ---- heartbeats, reads, leases

export function broadcastHeartbeat(core: RaftCore): void {
  const round = core.reads.begin(core.now)
  for (const [to, progress] of core.progress) {
    if (to === core.id) continue
    const known = Math.min(progress.match, core.log.committed)
    core.send.push({ type: 'heartbeat', from: core.id, to, term: core.term, commit: known, round })
  }
  // A leader that is all the majority there is needs nobody's answer.
  confirmReads(core)
}

export function takeHeartbeatReply(core: RaftCore, { from, round }: HeartbeatReply): void {
  const progress = core.progress.get(from)
  if (progress === undefined) return
  progress.active = true
  progress.paused = false
  progress.round = Math.max(progress.round, round)
  if (progress.match < core.log.last || progress.state === 'probe') sendAppend(core, from, { evenEmpty: true })
  confirmReads(core)
}

function confirmReads(core: RaftCore): void {
  const answered = (node: NodeId): number =>
    node === core.id ? core.reads.round : (core.progress.get(node)?.round ?? 0)
  for (const { from, read, index } of core.reads.confirm(core.membership, answered)) give(core, from, read, index)
}

/** @returns why the read cannot be answered. */
export function askRead(core: RaftCore, from: NodeId, read: number): Refusal | undefined {
  if (core.reads.full) return 'overloaded'
  if (core.log.term(core.log.committed) === core.term) answerRead(core, from, read)
  else core.reads.addEarly(from, read)
  return undefined
}

function answerRead(core: RaftCore, from: NodeId, read: number): void {
  const { committed } = core.log
  const leased = core.options.reads === 'lease' && !core.leaseBroken && core.reads.hasLease(core.now)
  if (leased) give(core, from, read, committed)
  else core.reads.add(from, read, committed)
}

function give(core: RaftCore, to: NodeId, read: number, index: number): void {
  if (to === core.id) core.readStates.push({ read, index })
  else core.send.push({ type: 'read-reply', from: core.id, to, term: core.term, read, index })
}

// ---- leadership

/** Once an election timeout: is there still a majority that answers? */
export function checkQuorum(core: RaftCore): void {
  const heard = new Map<NodeId, boolean>()
  for (const [node, progress] of core.progress) {
    heard.set(node, node === core.id || progress.active)
    if (node !== core.id) progress.active = false
  }
  if (tally(core.membership, heard) !== 'won') core.becomeFollower(core.term, 0)
}

/** @returns why not. */
export function transfer(core: RaftCore, target: NodeId): Refusal | undefined {
  const progress = core.progress.get(target)
  if (progress === undefined || core.isWitness(target)) return 'not-member'
  if (!core.membership.voters.includes(target) && !core.membership.outgoing.includes(target)) return 'not-member'
  if (target === core.id || target === core.transferee) return undefined
  core.transferee = target
  core.electionElapsed = 0
  if (progress.match === core.log.last) sendTimeoutNow(core, target)
  else sendAppend(core, target, { evenEmpty: true })
  return undefined
}

function sendTimeoutNow(core: RaftCore, to: NodeId): void {
  core.leaseBroken = true
  core.send.push({ type: 'timeout-now', from: core.id, to, term: core.term })
}

/** Appends to a member did not arrive. */
export function unreachable(core: RaftCore, node: NodeId): void {
  const progress = core.progress.get(node)
  if (progress?.state === 'replicate') progress.probe()
}

export function snapshotSent(core: RaftCore, node: NodeId, arrived: boolean): void {
  const progress = core.progress.get(node)
  if (progress?.state !== 'snapshot') return
  if (!arrived) progress.pendingSnapshot = 0
  progress.probe()
  // Its answer tells where to go on; until then (or until the next heartbeat is answered) nothing is sent.
  progress.paused = true
}

// ---- membership

/** A change is applied here: the same happens on every member at the same entry. */
export function applyChange(core: RaftCore, entry: Entry): void {
  try {
    core.membership = changed(core.membership, decodeChange(entry.data))
  } catch {
    // Proposed past all checks (by hand, or by an older version): every node passes it by.
    return
  }
  core.syncProgress()
  if (core.role !== 'leader') return
  if (!core.isVoter && core.options.stepDownOnRemoval) {
    core.becomeFollower(core.term, 0)
    return
  }
  if (commit(core)) broadcastAppend(core)
  else for (const node of core.progress.keys()) if (node !== core.id) sendAppend(core, node, { evenEmpty: false })
  if (core.transferee !== 0 && !core.progress.has(core.transferee)) core.transferee = 0
}

/** A joint configuration that leaves itself is left by whoever leads when it is applied. */
export function leaveJoint(core: RaftCore): void {
  if (core.role !== 'leader' || !core.membership.autoLeave || core.membershipIndex > core.log.applied) return
  const leave = { changes: [], transition: 'explicit' } as const
  core.membershipIndex = core.log.last + 1
  core.appendOwn([{ kind: 'membership', data: encodeChange(leave) }])
  broadcastAppend(core)
}
