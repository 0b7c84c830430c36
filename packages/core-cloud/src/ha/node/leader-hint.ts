import type { Raft } from '../raft/raft.js'
import type { NodeId } from '../raft/types.js'
import type { GroupHost } from './group-host.js'

/** Tries to follow up on one lost connection; after that the election timeout decides as ever. */
const tries = 5

/**
 * A connection to the leader that ends is a hint that its process is dead: the leader is forgotten and, after a short
 * random time, a pre-vote is asked for. Nothing is lost when the hint is wrong: members that still hear the leader
 * refuse, and its next heartbeat is believed. Not with reads by lease, where a vote lends the leader its time.
 */
export class LeaderHint {
  #cancel: () => void = () => undefined
  #lost: NodeId = 0

  constructor(
    readonly host: GroupHost,
    readonly raft: Raft,
  ) {}

  peer(node: NodeId, state: 'up' | 'down'): void {
    if (state === 'up') {
      if (node === this.#lost) this.#stopWaiting()
      return
    }
    if (node !== this.raft.status.leader || !this.raft.forgetLeader()) return
    this.#lost = node
    this.#wait(0, 10 + this.host.ids.random() * 40)
  }

  stop(): void {
    this.#stopWaiting()
  }

  #stopWaiting(): void {
    this.#lost = 0
    this.#cancel()
  }

  #wait(before: number, ms: number): void {
    const { clock, ids } = this.host
    this.#cancel()
    this.#cancel = clock.after(ms, () => {
      const { leader, role } = this.raft.status
      if (leader !== 0 || role === 'leader' || before === tries) {
        this.#lost = 0
        return
      }
      this.raft.campaign()
      this.host.wake()
      // Two that asked at the same time may have refused each other; later and later, for disks may be slow.
      this.#wait(before + 1, (before + 1) * (100 + ids.random() * 200))
    })
  }
}
