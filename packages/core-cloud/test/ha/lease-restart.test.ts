import assert from 'node:assert/strict'
import { initialMembership, type Message, Raft, type Recovered } from '@aaas/core-cloud/ha'
import { test } from 'tap'

/** Three members whose disks are at once done; a message goes wherever `open` says. */
class Group {
  readonly nodes = new Map<number, Raft>()
  readonly answered = new Map<number, number>()
  open: (from: number, to: number) => boolean = () => true

  start(id: number): void {
    const members = this.nodes.get(id)
    this.nodes.set(id, new Raft({ id, seed: 1, reads: 'lease' }, members === undefined ? fresh : disk(members)))
  }

  tick(count: number, ids: readonly number[]): void {
    for (let tick = 0; tick < count; tick++) {
      for (const id of ids) this.nodes.get(id)?.tick()
      this.settle()
    }
  }

  settle(): void {
    let messages: Message[] = []
    do {
      for (const { from, to } of messages.splice(0).map(message => this.#deliver(message))) assert(from !== to)
      for (const raft of this.nodes.values()) messages = [...messages, ...this.#done(raft)]
    } while (messages.length > 0)
  }

  #deliver(message: Message): Message {
    if (this.open(message.from, message.to)) this.nodes.get(message.to)?.step(message)
    return message
  }

  #done(raft: Raft): readonly Message[] {
    const { send, append, apply, reads } = raft.ready()
    for (const { read, index } of reads) this.answered.set(read, index)
    if (apply !== undefined) raft.applied(apply.entries.at(-1)?.index ?? 0)
    if (append === undefined) return send
    raft.appended(append)
    return [...send, ...append.after.filter(({ to }) => to !== raft.status.id)]
  }
}

const membership = initialMembership({ voters: [1, 2, 3] })
const snapshot = { index: 0, term: 0, membership }
const fresh: Recovered = { hardState: { term: 0, vote: 0, commit: 0 }, snapshot, entries: [] }

function disk(raft: Raft): Recovered {
  const { term, vote, committed: commit, lastIndex } = raft.status
  const entries = Array.from({ length: lastIndex }, (_, index) => raft.entry(index + 1)).flatMap(entry => entry ?? [])
  return { hardState: { term, vote, commit }, snapshot, entries }
}

test('who starts again helps nobody into office while a leader may still answer reads by its lease', async () => {
  const group = new Group()
  for (const id of [1, 2, 3]) group.start(id)
  group.tick(12, [1, 2, 3])
  group.nodes.get(1)?.campaign()
  group.settle()
  group.tick(2, [1, 2, 3])
  assert.equal(group.nodes.get(1)?.status.role, 'leader')

  // Node 3 loses its leader, which goes on with node 2.
  group.open = (from, to) => from !== 3 && to !== 3
  group.tick(9, [1, 2, 3])
  // Node 2 has just answered a heartbeat. It dies, starts again, and hears from node 3 only.
  group.start(2)
  group.open = (from, to) => from !== 1 && to !== 1
  group.tick(1, [3])
  group.nodes.get(3)?.campaign()
  group.settle()
  group.nodes.get(3)?.propose([{ kind: 'command', data: Buffer.from('new') }])
  group.settle()

  // The old leader believes in its lease: what it answers must not be older than what was acknowledged.
  const acknowledged = group.nodes.get(3)?.status.committed ?? 0
  assert.equal(group.nodes.get(1)?.read(7), undefined)
  group.settle()
  const answer = group.answered.get(7)
  assert(answer === undefined || answer >= acknowledged, `read at ${answer}; ${acknowledged} was acknowledged`)

  // When nobody's lease can be left, node 3 is elected.
  group.tick(30, [2, 3])
  assert.equal([2, 3].filter(id => group.nodes.get(id)?.status.role === 'leader').length, 1)
})
