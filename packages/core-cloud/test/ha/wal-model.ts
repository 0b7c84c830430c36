import type { RaftStorage } from '../../src/ha/index.js'
import type { AppendWork, Entry, HardState, Membership } from '../../src/ha/raft/types.js'
import type { GroupId } from '../../src/ha/storage.js'

interface GroupModel {
  readonly hardState: HardState
  /** The whole log by index from 1; a received snapshot leaves a hole before it. */
  readonly log: readonly (string | undefined)[]
  /** Index of the last received snapshot. */
  readonly received: number
}

export type Model = ReadonlyMap<GroupId, GroupModel>

/** Everything a log was told to store, in order; which of it was vouched for; and the snapshots that were saved. */
export class WalModel {
  /** `states[n]` is what the first `n` operations lead to. */
  readonly states: Model[] = [new Map()]
  /** So many operations are durable. */
  vouched = 0
  /** Indexes of saved snapshots by group: those that were asked for, and the last that was vouched for. */
  readonly saved = new Map<GroupId, { readonly asked: Set<number>; durable: number }>()

  /** @returns the number of the operation. */
  created(group: GroupId): number {
    return this.#next(group, { hardState: { term: 0, vote: 0, commit: 0 }, log: [], received: 0 })
  }

  removed(group: GroupId): number {
    const saved = this.saved.get(group)
    // The removal may be lost, and then there are snapshots of the group.
    if (saved !== undefined) saved.durable = 0
    return this.#next(group, undefined)
  }

  stored(group: GroupId, { hardState, snapshot, entries }: AppendWork): number {
    const before = this.last.get(group) as GroupModel
    let log = [...before.log]
    if (snapshot !== undefined) log = new Array(snapshot.index).fill(undefined)
    for (const entry of entries) {
      log.length = entry.index - 1
      log.push(textOf(entry))
    }
    const received = snapshot?.index ?? before.received
    return this.#next(group, { hardState: hardState ?? before.hardState, log, received })
  }

  done(operation: number): void {
    this.vouched = Math.max(this.vouched, operation)
  }

  get last(): Model {
    return this.states.at(-1) as Model
  }

  /** What is wrong with what a storage found, or nothing: then it is what the model goes on from. */
  fault(storage: RaftStorage): string | undefined {
    const found = new Map(storage.groups.map(group => [group, storage.recovered(group)] as const))
    const reasons: string[] = []
    for (let count = this.vouched; count < this.states.length; count++) {
      const reason = this.#differs(this.states[count] as Model, found)
      if (reason === undefined) {
        this.states.length = count + 1
        this.vouched = count
        return undefined
      }
      if (reasons.length < 3) reasons.push(`${count}: ${reason}`)
    }
    return `vouched for ${this.vouched} of ${this.states.length - 1}; ${reasons.join('; ')}`
  }

  #differs(model: Model, found: ReadonlyMap<GroupId, ReturnType<RaftStorage['recovered']>>): string | undefined {
    if (model.size !== found.size) return `${found.size} groups instead of ${model.size}`
    for (const [group, { hardState, log, received }] of model) {
      const recovered = found.get(group)
      if (recovered === undefined) return `no group ${group}`
      const { index } = recovered.snapshot
      const saved = this.saved.get(group)
      const commit = Math.max(index, Math.min(hardState.commit, log.length))
      const wanted = JSON.stringify({ ...hardState, commit })
      if (JSON.stringify(recovered.hardState) !== wanted)
        return `group ${group}: ${JSON.stringify(recovered.hardState)}`
      if (index < Math.max(received, Math.min(saved?.durable ?? 0, log.length))) return `group ${group}: mark ${index}`
      if (index > received && !saved?.asked.has(index)) return `group ${group}: mark ${index} of nobody`
      const entries = recovered.entries.map(textOf)
      if (entries.join() !== log.slice(index).join()) return `group ${group}: ${entries.length} entries from ${index}`
    }
    return undefined
  }

  #next(group: GroupId, state: GroupModel | undefined): number {
    const next = new Map(this.last)
    if (state === undefined) next.delete(group)
    else next.set(group, state)
    this.states.push(next)
    return this.states.length - 1
  }
}

function textOf({ index, term, kind, data }: Entry): string {
  return `${index}/${term}/${kind}/${Buffer.from(data).toString('latin1')}`
}

export interface Workload {
  readonly storage: RaftStorage
  readonly model: WalModel
  readonly random: () => number
  /** Operations. */
  readonly length: number
  /** Data of an entry: at most so many bytes. */
  readonly maxBytes: number
}

const membership: Membership = {
  voters: [1, 2, 3],
  outgoing: [],
  learners: [],
  learnersNext: [],
  witnesses: [],
  autoLeave: false,
}

/** Does random things to a storage as cores would, several groups at once; ends when something fails. */
export async function runWorkload({ storage, model, random, length, maxBytes }: Workload): Promise<void> {
  const pick = (count: number): number => Math.floor(random() * count)
  const waiting: Promise<void>[] = []
  try {
    for (let turn = 0; turn < length; turn++) {
      const group = 1 + pick(4)
      const state = model.last.get(group)
      const what = random()
      if (state === undefined) {
        const operation = model.created(group)
        await storage.create(group, membership)
        model.done(operation)
      } else if (what < 0.02) {
        const operation = model.removed(group)
        await storage.remove(group)
        model.done(operation)
      } else if (what < 0.12 && state.hardState.commit > 0) {
        await saveSnapshot(storage, model, group, 1 + pick(state.hardState.commit))
      } else if (what < 0.15) {
        await receiveSnapshot(storage, model, group, state.log.length + 1 + pick(10))
      } else {
        const work = randomWork(state, pick, maxBytes)
        const operation = model.stored(group, work)
        waiting.push(append(storage, group, work, () => work.sync && model.done(operation)))
        if (random() < 0.3) await Promise.race([Promise.all(waiting.splice(0)), storage.failed])
      }
    }
    await Promise.race([Promise.all(waiting), storage.failed])
  } catch {
    // The disk is gone.
  }
}

/** Throws at once when nothing is taken any more. */
function append(storage: RaftStorage, group: GroupId, work: AppendWork, done: () => unknown): Promise<void> {
  let resolve = (): void => undefined
  const stored = new Promise<void>(ready => {
    resolve = ready
  })
  storage.append(group, work, () => {
    done()
    resolve()
  })
  return stored
}

function randomWork(state: GroupModel, pick: (count: number) => number, maxBytes: number): AppendWork {
  const { hardState, log, received } = state
  const term = hardState.term + (pick(8) === 0 ? 1 : 0)
  // What is committed is not replaced.
  const settled = Math.max(hardState.commit, received)
  const first = pick(6) === 0 ? settled + 1 + pick(log.length - settled + 1) : log.length + 1
  const entries: Entry[] = []
  for (let count = pick(4); count > 0; count--) {
    const data = Buffer.alloc(pick(maxBytes + 1)).map(() => 1 + pick(255))
    entries.push({ index: first + entries.length, term: Math.max(1, term), kind: 'command', data })
  }
  const last = entries.at(-1)?.index ?? log.length
  const commit = settled + pick(last - settled + 1)
  const sync = entries.length > 0 || term !== hardState.term
  const vouches = { term, index: last, logTerm: term }
  return { hardState: { term, vote: pick(4), commit }, snapshot: undefined, entries, sync, after: [], vouches }
}

async function saveSnapshot(storage: RaftStorage, model: WalModel, group: GroupId, index: number): Promise<void> {
  const saved = model.saved.get(group) ?? { asked: new Set(), durable: 0 }
  model.saved.set(group, saved)
  saved.asked.add(index)
  await storage.saveSnapshot(group, { index, term: 1, membership }, stateOf(index))
  saved.durable = Math.max(saved.durable, index)
}

async function receiveSnapshot(storage: RaftStorage, model: WalModel, group: GroupId, index: number): Promise<void> {
  const state = model.last.get(group) as GroupModel
  const hardState = { ...state.hardState, commit: index }
  const mark = { index, term: Math.max(1, hardState.term), membership }
  const vouches = { term: hardState.term, index, logTerm: mark.term }
  const work: AppendWork = { hardState, snapshot: mark, entries: [], sync: true, after: [], vouches }
  const operation = model.stored(group, work)
  await Promise.race([append(storage, group, work, () => model.done(operation)), storage.failed])
}

async function* stateOf(index: number): AsyncGenerator<Uint8Array> {
  yield Buffer.from(`state of ${index}`)
}

/** The newest snapshot is the one of the recovered mark, when that has a state, and is whole. */
export async function snapshotFault(storage: RaftStorage): Promise<string | undefined> {
  for (const group of storage.groups) {
    const snapshot = await storage.openSnapshot(group)
    if (snapshot === undefined) continue
    await using open = snapshot
    const text = (await open.read(0, open.bytes)).toString()
    if (text !== `state of ${open.mark.index}`) return `group ${group}: the snapshot of ${open.mark.index} says ${text}`
  }
  return undefined
}
