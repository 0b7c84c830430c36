import { seededRandom } from './seeded-random.js'

/** The `StateMachine` port of `@aaas/core-cloud/ha`: what every member computes from the same commands. */
export interface ReplicatedMachine {
  apply(command: Uint8Array, index: number): Uint8Array
  snapshot(): AsyncIterable<Uint8Array>
  restore(state: AsyncIterable<Uint8Array>): Promise<void>
}

export interface ReplicaSimulationOptions {
  /** A new machine, empty: a member that starts. */
  readonly open: () => ReplicatedMachine
  /** The next command, drawn from `random` (0 to below 1). */
  readonly command: (random: () => number) => Uint8Array
  /** Default 3. */
  readonly members?: number
  /** Default 200. */
  readonly commands?: number
}

interface Snapshot {
  readonly index: number
  readonly chunks: readonly Uint8Array[]
}

interface Member {
  machine: ReplicatedMachine
  applied: number
  snapshot: Snapshot
}

const maxFlaws = 20

const none: Snapshot = { index: 0, chunks: [] }

/**
 * Does a state machine of your own keep what replication asks of it? Several members apply one log of commands, each at
 * its pace; they crash and start again from their last snapshot, take one from another member, and go on applying while a
 * snapshot of theirs is being written. Whoever applies an index must answer what everybody answered there, and two
 * members at the same index must have the same snapshot.
 *
 * Found by it: a clock or random numbers in `apply`, an order that differs (of a `Set` that was filled in another order),
 * state that is not in the snapshot, a snapshot that changes while it is written.
 *
 * @param seed - the same seed is the same run.
 * @returns what was found wrong; empty when nothing was.
 */
export async function simulateReplicas(seed: number, options: ReplicaSimulationOptions): Promise<string[]> {
  const { open, command, members: count = 3, commands = 200 } = options
  const random = seededRandom(seed)
  const log = Array.from({ length: commands }, () => command(random))
  const answers = new Map<number, string>()
  const flaws = new Set<string>()
  const members = Array.from({ length: count }, (): Member => ({ machine: open(), applied: 0, snapshot: none }))
  const apply = (member: Member, steps: number): void => {
    for (let left = steps; left > 0 && member.applied < log.length; left--) {
      const index = ++member.applied
      const answer = hex([member.machine.apply(log[index - 1] as Uint8Array, index)])
      if (!answers.has(index)) answers.set(index, answer)
      else if (answers.get(index) !== answer && flaws.size < maxFlaws) {
        flaws.add(`command ${index} has another answer on another member`)
      }
    }
  }
  const start = async (member: Member, from: Snapshot): Promise<void> => {
    member.machine = open()
    member.snapshot = from
    member.applied = from.index
    if (from.index > 0) await member.machine.restore(stream(from.chunks))
  }
  while (members.some(({ applied }) => applied < log.length)) {
    const member = members[Math.floor(random() * count)] as Member
    const draw = random()
    const steps = Math.floor(random() * 10)
    if (draw < 0.7) apply(member, steps)
    else if (draw < 0.85) member.snapshot = await written(member, () => apply(member, 1 + Math.floor(random() * 3)))
    else if (draw < 0.95) await start(member, member.snapshot)
    else {
      const { snapshot } = members[Math.floor(random() * count)] as Member
      if (snapshot.index > member.applied) await start(member, snapshot)
    }
  }
  const states = await Promise.all(members.map(async ({ machine }) => hex(await chunksOf(machine.snapshot()))))
  if (new Set(states).size > 1) flaws.add('members that applied the same have different snapshots')
  return [...flaws]
}

/** @param meanwhile - what the member does while its snapshot is written. */
async function written(member: Member, meanwhile: () => void): Promise<Snapshot> {
  const index = member.applied
  const chunks: Uint8Array[] = []
  const state = member.machine.snapshot()[Symbol.asyncIterator]()
  for (;;) {
    // As far as the first chunk a snapshot is taken at once; the commands come in between.
    const pulled = state.next()
    meanwhile()
    const { value, done } = await pulled
    if (done === true) break
    chunks.push(value.slice())
  }
  return index === 0 ? none : { index, chunks }
}

async function* stream(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

async function chunksOf(state: AsyncIterable<Uint8Array>): Promise<readonly Uint8Array[]> {
  const chunks: Uint8Array[] = []
  for await (const chunk of state) chunks.push(chunk)
  return chunks
}

function hex(chunks: readonly Uint8Array[]): string {
  return Buffer.concat(chunks).toString('hex')
}
