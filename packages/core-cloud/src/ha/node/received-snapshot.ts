import type { Recovered } from '../raft/raft-core.js'
import type { GroupId, RaftStorage } from '../storage.js'

/**
 * A node can be killed when a snapshot from another member is whole on its disk, and before its log begins there. The
 * newest snapshot is then newer than the log's beginning: the log is made to begin there now, as the core would have
 * done it. Entries behind it stay when the log has the snapshot's last entry; otherwise they contradict it.
 */
export async function withReceived(storage: RaftStorage, group: GroupId, found: Recovered): Promise<Recovered> {
  await using stored = await storage.openSnapshot(group)
  if (stored === undefined || stored.mark.index <= found.snapshot.index) return found
  const { mark: snapshot } = stored
  const fits = found.entries.some(({ index, term }) => index === snapshot.index && term === snapshot.term)
  const entries = fits ? found.entries.filter(({ index }) => index > snapshot.index) : []
  const { term, vote, commit } = found.hardState
  const hardState = { term: Math.max(term, snapshot.term), vote: term < snapshot.term ? 0 : vote, commit }
  const recovered = { hardState: { ...hardState, commit: Math.max(commit, snapshot.index) }, snapshot, entries }
  const last = entries.at(-1) ?? snapshot
  const vouches = { term: hardState.term, index: last.index, logTerm: last.term }
  const work = { hardState: recovered.hardState, snapshot, entries, sync: true, after: [], vouches }
  await new Promise<void>((resolve, reject) => {
    storage.failed.then(reject, reject)
    storage.append(group, work, resolve)
  })
  return recovered
}
