import type { ApplyWork, Entry, Message } from '@aaas/core-cloud/ha'
import type { SimNode } from './sim-node.js'

/** What must hold at every moment (Raft paper, figure 3), seen from outside of all nodes. */
export class RaftChecks {
  readonly flaws: string[] = []
  readonly #leaders = new Map<number, number>()
  /** What was given to a state machine, by index: the same everywhere and for ever. */
  readonly #chosen: (Entry | undefined)[] = []
  #lastChosen = 0
  readonly #votes = new Map<string, number>()
  readonly #applying = new Map<number, { readonly life: unknown; index: number }>()
  readonly #committed = new Map<number, { readonly life: unknown; index: number }>()
  readonly #leading = new Map<number, number>()
  #elections = 0

  get elections(): number {
    return this.#elections
  }

  get chosen(): number {
    return this.#lastChosen
  }

  applying(node: SimNode, { snapshot, entries }: ApplyWork): void {
    const at = this.#applying.get(node.id)
    let index = at !== undefined && at.life === node.raft ? at.index : node.appliedIndex
    if (snapshot !== undefined) {
      if (snapshot.index <= index) this.#flaw(`node ${node.id} goes back to the snapshot ${snapshot.index}`)
      index = snapshot.index
    }
    for (const entry of entries) {
      if (entry.index !== index + 1) this.#flaw(`node ${node.id} applies ${entry.index} behind ${index}`)
      index = entry.index
      const other = this.#chosen[index]
      if (other === undefined) {
        this.#chosen[index] = entry
        this.#lastChosen = Math.max(this.#lastChosen, index)
      } else if (other.term !== entry.term || !equal(other, entry)) {
        this.#flaw(`state-machine safety: at ${index} node ${node.id} applies term ${entry.term}, not ${other.term}`)
      }
    }
    this.#applying.set(node.id, { life: node.raft, index })
  }

  sending(node: SimNode, message: Message): void {
    if (message.type !== 'vote-reply' || !message.granted) return
    const name = `${node.id}/${message.term}`
    const earlier = this.#votes.get(name)
    if (earlier !== undefined && earlier !== message.to)
      this.#flaw(`node ${node.id} votes twice in term ${message.term}`)
    this.#votes.set(name, message.to)
  }

  stepped(node: SimNode): void {
    const { raft } = node
    if (raft === undefined) return
    const { role, term, committed } = raft.status
    const before = this.#committed.get(node.id)
    if (before !== undefined && before.life === raft && committed < before.index) {
      this.#flaw(`node ${node.id}: commit index went back from ${before.index} to ${committed}`)
    }
    this.#committed.set(node.id, { life: raft, index: committed })
    if (role !== 'leader' || this.#leading.get(node.id) === term) return
    this.#leading.set(node.id, term)
    this.#elections += 1
    const other = this.#leaders.get(term)
    if (other !== undefined && other !== node.id)
      this.#flaw(`election safety: ${other} and ${node.id} lead term ${term}`)
    this.#leaders.set(term, node.id)
    this.#complete(node, term)
  }

  life(): void {
    // Nothing to check: what a node forgot shows in what it does next.
  }

  /** Leader completeness: a new leader has everything that was chosen before. */
  #complete(node: SimNode, term: number): void {
    const { raft } = node
    if (raft === undefined) return
    for (let index = raft.logSize.offset + 1; index <= this.#lastChosen; index++) {
      const chosen = this.#chosen[index]
      if (chosen === undefined || chosen.term >= term) continue
      if (raft.entry(index)?.term !== chosen.term) {
        this.#flaw(`leader completeness: ${node.id} leads term ${term} without entry ${index} of term ${chosen.term}`)
        return
      }
    }
  }

  #flaw(text: string): void {
    if (this.flaws.length < 20) this.flaws.push(text)
  }
}

/** A witness applies nothing but places. */
function equal(a: Entry, b: Entry): boolean {
  return a.kind === b.kind && (a.data.length === 0 || b.data.length === 0 || Buffer.compare(a.data, b.data) === 0)
}
