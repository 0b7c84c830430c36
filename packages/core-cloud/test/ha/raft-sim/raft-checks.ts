import type { AppendWork, ApplyWork, Entry, Membership, Message, Raft } from '@aaas/core-cloud/ha'
import type { SimNode } from './sim-node.js'
import type { Watch } from './watch.js'

interface Known {
  readonly life: unknown
  index: number
}

const maxFlaws = 20

/** What must hold at every moment (Raft paper, figure 3), seen from outside of all nodes, and a digest of all that happens. */
export class RaftChecks implements Watch {
  readonly flaws: string[] = []
  elections = 0
  /** Largest index given to a state machine. */
  chosen = 0
  readonly #firstFlaw: () => void
  readonly #leaders = new Map<number, number>()
  /** What was given to a state machine, by index: the same everywhere and for ever; and what became of the state. */
  readonly #chosen: (Entry | undefined)[] = []
  /** What leaders have committed, by index: the entry's term, and in which term that was. */
  readonly #decided: ({ readonly term: number; readonly inTerm: number } | undefined)[] = []
  readonly #digests: (number | undefined)[] = []
  readonly #votes = new Map<string, number>()
  readonly #applying = new Map<number, Known>()
  readonly #appliedEntry = new Map<number, number>()
  readonly #committed = new Map<number, Known>()
  readonly #leading = new Map<number, number>()
  /** Everything that was ever written, by term and index, with the term of the entry before it. */
  readonly #written = new Map<number, { readonly entry: Entry; readonly before: number }>()
  #hash = 0x811c_9dc5
  #twist = 0

  readonly #nodes = new Map<number, SimNode>()

  /** @param firstFlaw - called once, when something is wrong. */
  constructor(firstFlaw: () => void) {
    this.#firstFlaw = firstFlaw
  }

  get digest(): string {
    return [this.#hash, this.#twist].map(half => (half >>> 0).toString(16).padStart(8, '0')).join('')
  }

  applying(node: SimNode, { snapshot, entries }: ApplyWork): void {
    const at = this.#applying.get(node.id)
    let index = at !== undefined && at.life === node.raft ? at.index : node.appliedIndex
    if (snapshot !== undefined) {
      if (snapshot.index <= index) this.flaw(`node ${node.id} goes back to the snapshot ${snapshot.index}`)
      index = snapshot.index
    }
    for (const entry of entries) {
      if (entry.index !== index + 1) this.flaw(`node ${node.id} applies ${entry.index} behind ${index}`)
      index = entry.index
      this.#appliedEntry.set(node.id, index)
      if (!onDisk(node, index, entry.term)) this.flaw(`node ${node.id} applies ${index}, which its disk does not have`)
      const other = this.#chosen[index]
      if (other === undefined) {
        this.#chosen[index] = entry
        this.chosen = Math.max(this.chosen, index)
      } else if (other.term !== entry.term || !equal(other, entry)) {
        this.flaw(`state-machine safety: at ${index} node ${node.id} applies term ${entry.term}, not ${other.term}`)
      }
    }
    this.#applying.set(node.id, { life: node.raft, index })
  }

  applied(node: SimNode, index: number): void {
    const { digest } = node.state
    this.#mix(node.id, index, digest)
    if (node.raft?.status.membership.witnesses.includes(node.id)) return
    const other = this.#digests[index]
    if (other === undefined) this.#digests[index] = digest
    else if (other !== digest) this.flaw(`the state of node ${node.id} at ${index} is not that of others`)
  }

  sending(node: SimNode, message: Message): void {
    const { type, to, term } = message
    this.#mix(node.id * 64 + to, type.length, term)
    if (type === 'vote-reply' && message.granted) this.#vote(node, to, term)
    if (type === 'vote') this.#asks(node, term, message.lastIndex)
    if (type === 'append-reply' && !message.rejected && message.index > node.disk.last) {
      this.flaw(`node ${node.id} acknowledges ${message.index}; its disk has ${node.disk.last}`)
    }
  }

  #vote({ id, disk }: SimNode, to: number, term: number): void {
    const name = `${id}/${term}`
    const earlier = this.#votes.get(name)
    if (earlier !== undefined && earlier !== to) this.flaw(`node ${id} votes twice in term ${term}`)
    this.#votes.set(name, to)
    const { term: onDisk, vote } = disk.hardState
    if (onDisk !== term || vote !== to) this.flaw(`node ${id} votes for ${to} in term ${term}: its disk does not know`)
  }

  #asks({ id, disk }: SimNode, term: number, lastIndex: number): void {
    const { term: onDisk, vote } = disk.hardState
    if (onDisk !== term || vote !== id || lastIndex > disk.last) {
      this.flaw(`node ${id} asks for votes in term ${term} with a log up to ${lastIndex}: its disk does not know`)
    }
  }

  wrote({ id, disk }: SimNode, { entries }: AppendWork, lastBefore: number): void {
    // A snapshot may be applied while its mark is still on the way to the disk: only entries count.
    const kept = Math.min(lastBefore, this.#appliedEntry.get(id) ?? 0)
    if (disk.last < kept) this.flaw(`node ${id} loses ${kept} from its disk, which it has applied`)
    for (const entry of entries) {
      const { index, term } = entry
      const before = index - 1 === disk.snapshot.index ? disk.snapshot.term : disk.at(index - 1)?.term
      if (before === undefined) continue
      const place = term * 0x100_0000 + index
      const other = this.#written.get(place)
      if (other === undefined) this.#written.set(place, { entry, before })
      else if (other.before !== before || !equal(other.entry, entry)) {
        this.flaw(`log matching: node ${id} has another past, or another entry, at ${index} of term ${term}`)
      }
    }
  }

  stepped(node: SimNode): void {
    const { raft } = node
    if (raft === undefined) return
    const { role, term, committed, membership } = raft.status
    const before = this.#committed.get(node.id)
    if (before === undefined || before.life !== raft) this.#committed.set(node.id, { life: raft, index: committed })
    else if (committed !== before.index) {
      if (committed < before.index) {
        this.flaw(`node ${node.id}: commit index went back from ${before.index} to ${committed}`)
      }
      before.index = committed
      if (role === 'leader') this.#decides(raft, membership, committed)
    }
    if (role !== 'leader' || this.#leading.get(node.id) === term) return
    this.#elected(raft, term, membership)
    this.#leading.set(node.id, term)
    this.elections += 1
    const other = this.#leaders.get(term)
    if (other !== undefined && other !== node.id) {
      this.flaw(`election safety: ${other} and ${node.id} lead term ${term}`)
    }
    this.#leaders.set(term, node.id)
    this.#complete(node, term)
  }

  /** What a leader commits is on the disks of a majority, of both halves of a joint configuration. */
  #decides(raft: Raft, membership: Membership, index: number): void {
    const { id, term: inTerm } = raft.status
    const term = raft.entry(index)?.term
    const has = (voter: number): boolean => {
      const node = this.#nodes.get(voter)
      return node !== undefined && onDisk(node, index, term)
    }
    if (term !== undefined && !agreed(membership, has)) {
      this.flaw(`node ${id} commits ${index}: no majority of ${voices(membership)} has it on the disk`)
    }
    for (let at = index; at > raft.logSize.offset && this.#decided[at] === undefined; at--) {
      this.#decided[at] = { term: raft.entry(at)?.term as number, inTerm }
    }
  }

  #elected(raft: Raft, term: number, membership: Membership): void {
    const { id, applied, lastIndex } = raft.status
    if (!agreed(membership, voter => this.#votes.get(`${voter}/${term}`) === id)) {
      this.flaw(`node ${id} leads term ${term} without the votes of a majority of ${voices(membership)}`)
    }
    let changes = 0
    for (let index = applied + 1; index <= lastIndex; index++) {
      if (raft.entry(index)?.kind === 'membership') changes += 1
    }
    // Majorities of memberships one change apart meet; of two changes apart they need not.
    if (changes > 1) this.flaw(`node ${id} leads term ${term} by the membership of ${changes} changes ago`)
  }

  life(node: SimNode, what: 'start' | 'crash' | 'pause'): void {
    this.#nodes.set(node.id, node)
    if (what !== 'start') return
    this.#appliedEntry.delete(node.id)
    this.#remembers(node)
    this.#mix(node.id, what.length, Math.floor(node.world.simulation.now * 1000))
  }

  #remembers({ id, disk }: SimNode): void {
    for (let index = disk.snapshot.index + 1; index <= disk.hardState.commit; index++) {
      const chosen = this.#chosen[index]
      if (chosen === undefined || disk.at(index)?.term === chosen.term) continue
      this.flaw(`node ${id} remembers ${index} to be committed; its entry there is not the one that was`)
    }
  }

  event(what: string): void {
    this.#mix(what.length, 0, 0)
  }

  flaw(text: string): void {
    if (this.flaws.length === 0) this.#firstFlaw()
    if (this.flaws.length < maxFlaws) this.flaws.push(text)
  }

  /** Leader completeness: a leader has everything that was committed in the terms before its own. */
  #complete({ id, raft }: SimNode, term: number): void {
    if (raft === undefined) return
    for (let index = raft.logSize.offset + 1; index < this.#decided.length; index++) {
      const decided = this.#decided[index]
      // An entry of an old term may be committed in a term that this leader, held up since it was voted for, comes before.
      if (decided === undefined || decided.inTerm >= term || raft.entry(index)?.term === decided.term) continue
      this.flaw(`leader completeness: ${id} leads term ${term} without entry ${index} of term ${decided.term}`)
      return
    }
  }

  /** FNV-1a on words, and a second sum with another turn: integers only, the same everywhere. */
  #mix(a: number, b: number, c: number): void {
    let hash = Math.imul(this.#hash ^ a, 0x0100_0193)
    hash = Math.imul(hash ^ b, 0x0100_0193)
    this.#hash = Math.imul(hash ^ c, 0x0100_0193)
    this.#twist = (Math.imul(this.#twist, 31) + this.#hash) | 0
  }
}

function onDisk({ disk }: SimNode, index: number, term: number | undefined): boolean {
  return disk.snapshot.index >= index || disk.at(index)?.term === term
}

/** Written without the core's own arithmetic, on purpose. */
function agreed({ voters, outgoing }: Membership, agrees: (node: number) => boolean): boolean {
  return [voters, outgoing].every(half => half.length === 0 || half.filter(agrees).length * 2 > half.length)
}

function voices({ voters, outgoing }: Membership): string {
  return outgoing.length === 0 ? `${voters}` : `${voters} and of ${outgoing}`
}

/** A witness applies nothing but places. */
function equal(a: Entry, b: Entry): boolean {
  if (a.data === b.data) return a.kind === b.kind
  return a.kind === b.kind && (a.data.length === 0 || b.data.length === 0 || Buffer.compare(a.data, b.data) === 0)
}
