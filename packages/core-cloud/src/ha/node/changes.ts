import { CloudError, type ErrorBody } from '../../kernel/errors.js'
import { changed, decodeChange, encodeChange, isJoint } from '../raft/membership.js'
import type { Raft } from '../raft/raft.js'
import type { Entry, Membership, MembershipChange, NodeId } from '../raft/types.js'
import type { GroupId } from '../storage.js'
import { malformed } from './byte-reader.js'
import { outcomeUnknown, stopped, unavailable } from './call-end.js'
import type { GroupHost } from './group-host.js'
import { type DriverItem, encodeItem } from './node-wire.js'
import type { Watches } from './watches.js'

interface Driven {
  readonly raft: Raft
  readonly watches: Watches
  readonly ended: boolean
}

/** Changes of membership and of leadership of one group: on the leader by the core, elsewhere by asking the leader. */
export class Changes {
  /** Terms of the last changes that were applied, by index. */
  readonly #applied = new Map<number, number>()
  /** Answers of the leader, by question. */
  readonly #asked = new Map<number, ErrorBody | 'done' | 'waiting'>()
  #nextAsk: number

  constructor(
    readonly group: GroupId,
    readonly host: GroupHost,
    readonly driven: Driven,
  ) {
    this.#nextAsk = Math.floor(host.ids.random() * 2 ** 31)
  }

  applied({ index, term }: Entry): void {
    this.#applied.set(index, term)
    if (this.#applied.size > 100) this.#applied.delete(this.#applied.keys().next().value as number)
  }

  /** @param deadline - monotonic. @throws CloudError as `Replica.change` says. */
  async change(change: MembershipChange, deadline: number): Promise<void> {
    const { raft, watches, ended } = this.driven
    if (ended) throw stopped()
    const data = encodeChange(change)
    decodeChange(data)
    for (;;) {
      const led = await watches.until(() => this.driven.ended || raft.status.leader !== 0, deadline)
      if (this.driven.ended) throw stopped()
      if (!led) throw unavailable('no leader was found before the deadline')
      const done = raft.status.role === 'leader' ? await this.#lead(change, deadline) : await this.#ask(data, deadline)
      if (done) return
    }
  }

  /** @returns false when it was not taken and may be tried again. */
  async #lead(change: MembershipChange, deadline: number): Promise<boolean> {
    const { raft, watches } = this.driven
    // Refuses what is impossible with the name of the field.
    if (change.changes.length > 0 && !isJoint(raft.status.membership)) {
      refuseTwoVoters(changed(raft.status.membership, change), raft.status.membership)
    }
    const proposed = raft.proposeMembership(change)
    this.host.wake()
    if (typeof proposed === 'string') {
      if (proposed === 'invalid') changed(raft.status.membership, change)
      const { term } = raft.status
      const since = this.host.clock.monotonic()
      const again = (): boolean =>
        this.driven.ended || raft.status.term !== term || this.host.clock.monotonic() - since >= 20
      if (!(await watches.until(again, deadline))) throw unavailable(`the leader refuses: ${proposed}`)
      return false
    }
    const { index, term } = proposed
    const applied = await watches.until(() => this.driven.ended || raft.status.applied >= index, deadline)
    if (!applied || this.driven.ended) throw outcomeUnknown('the change was proposed; it was not applied in time')
    if (this.#applied.get(index) !== term) return false
    if (change.changes.length === 0 || change.transition === 'explicit') return true
    const left = await watches.until(() => this.driven.ended || !isJoint(raft.status.membership), deadline)
    if (!left) throw outcomeUnknown('the change is applied; its joint configuration was not left in time')
    return true
  }

  async #ask(data: Uint8Array, deadline: number): Promise<boolean> {
    const { raft, watches } = this.driven
    const { leader, term } = raft.status
    const id = this.#nextAsk
    this.#nextAsk = (this.#nextAsk + 1) % 2 ** 32
    this.#asked.set(id, 'waiting')
    try {
      const body = JSON.stringify({
        change: Buffer.from(data).toString('base64'),
        ms: deadline - this.host.clock.monotonic(),
      })
      let lost = false
      this.host.send(leader, encodeItem({ kind: 'ask', group: this.group, id, body }), () => {
        lost = true
      })
      const since = this.host.clock.monotonic()
      const heard = (): boolean =>
        this.driven.ended ||
        this.#asked.get(id) !== 'waiting' ||
        raft.status.term > term ||
        (lost && this.host.clock.monotonic() - since >= 20)
      const answered = await watches.until(heard, deadline)
      const answer = this.#asked.get(id)
      if (lost) return false
      if (answer === 'done') return true
      if (answer !== undefined && answer !== 'waiting') {
        if (answer.code === 'core.ha.unavailable' && this.host.clock.monotonic() < deadline) return false
        throw CloudError.fromBody(answer)
      }
      throw outcomeUnknown(answered ? 'the leader that was asked leads no more' : 'the leader did not answer in time')
    } finally {
      this.#asked.delete(id)
    }
  }

  item(from: NodeId, item: Extract<DriverItem, { kind: 'ask' | 'told' }>): void {
    if (item.kind === 'told') {
      if (this.#asked.has(item.id)) this.#asked.set(item.id, parsed(item.body) as ErrorBody | 'done')
      return
    }
    const { change, ms } = parsed(item.body) as { readonly change: string; readonly ms: number }
    const answer = (body: unknown): void => {
      const told = { kind: 'told', group: this.group, id: item.id, body: JSON.stringify(body) } as const
      this.host.send(from, encodeItem(told))
      this.host.wake()
    }
    this.#answer(Buffer.from(change, 'base64'), ms).then(
      () => answer('done'),
      (error: unknown) => answer(CloudError.from(error).toJSON()),
    )
  }

  async #answer(data: Uint8Array, ms: number): Promise<void> {
    const deadline = this.host.clock.monotonic() + Math.min(ms, 60_000)
    while (this.driven.raft.status.role === 'leader') {
      if (await this.#lead(decodeChange(data), deadline)) return
    }
    throw unavailable('this node does not lead')
  }

  // ---- leadership

  /** @param deadline - monotonic. */
  async transfer(target: NodeId, deadline: number): Promise<void> {
    const { raft, watches } = this.driven
    if (this.driven.ended) throw stopped()
    const { membership } = raft.status
    if (![...membership.voters, ...membership.outgoing].includes(target) || membership.witnesses.includes(target)) {
      throw new CloudError('core.ha.invalid-membership', `node ${target} is no voter that can lead`, {
        field: 'target',
      })
    }
    while (raft.status.leader !== target) {
      const since = this.host.clock.monotonic()
      raft.transfer(target)
      this.host.wake()
      const over = (): boolean =>
        this.driven.ended ||
        raft.status.leader === target ||
        this.host.clock.monotonic() - since > 2 * this.host.electionMs
      await watches.until(over, deadline)
      if (this.driven.ended) throw stopped()
      if (raft.status.leader !== target && this.host.clock.monotonic() >= deadline) {
        throw unavailable(`node ${target} does not lead; leader is ${raft.status.leader || 'unknown'}`)
      }
    }
  }

  /** Before an end that was planned: whoever has most of the log becomes leader. */
  async handOver(deadline: number): Promise<void> {
    const { raft, watches } = this.driven
    const { host } = this
    while (raft.status.role === 'leader' && !this.driven.ended && host.clock.monotonic() < deadline) {
      const { progress, membership } = raft.status
      const able = membership.voters.filter(node => node !== host.self && !membership.witnesses.includes(node))
      const target = able
        .filter(node => progress.get(node)?.active === true)
        .sort((a, b) => (progress.get(b)?.match ?? 0) - (progress.get(a)?.match ?? 0))[0]
      if (target === undefined) return
      raft.transfer(target)
      host.wake()
      const end = Math.min(deadline, host.clock.monotonic() + host.electionMs)
      await watches.until(() => this.driven.ended || raft.status.role !== 'leader', end)
    }
    // Whoever follows has to be known, so that what is open can be passed on.
    await watches.until(
      () => this.driven.ended || raft.status.leader !== 0,
      Math.min(deadline, host.clock.monotonic() + host.electionMs),
    )
  }
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    throw malformed('a question or answer is not JSON')
  }
}

/**
 * Two voters stand still when either is gone: worse than one.
 * @throws CloudError `core.ha.no-quorum`.
 */
export function refuseTwoVoters(next: Membership, before?: Membership): void {
  if (next.voters.length !== 2 || before?.voters.length === 2) return
  const text = 'a group of two voters stands still when either is gone: add a third or a witness in the same change'
  throw new CloudError('core.ha.no-quorum', text, { field: 'voters' })
}
