import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { CloudError } from '../kernel/errors.js'
import { initialMembership } from './raft/membership.js'
import type { AppendWork, Entry, SnapshotMark } from './raft/types.js'
import type { GroupId, RaftStorage, StoredSnapshot } from './storage.js'

export interface StorageFixture extends AsyncDisposable {
  readonly storage: RaftStorage
  /** Ends the storage, in order or as by a kill, and opens it again on what it left. */
  reopen(how: 'close' | 'kill'): Promise<RaftStorage>
}

type Check = (open: () => Promise<StorageFixture>) => Promise<void>

/** What every storage of consensus groups promises. Runs under any runner. */
export function storageSuite(
  test: (name: string, fn: () => Promise<void>) => unknown,
  open: () => Promise<StorageFixture>,
): void {
  for (const [name, check] of Object.entries({ ...logChecks, ...snapshotChecks })) test(name, () => check(open))
}

const members = initialMembership({ voters: [1, 2, 3] })

const logChecks: Readonly<Record<string, Check>> = {
  async 'a new group is empty and is there after a restart'(open) {
    await using fixture = await open()
    let { storage } = fixture
    assert.deepEqual(storage.groups, [])
    assert.equal(storage.recovered(7), undefined)
    const made = await storage.create(7, members)
    const empty = { term: 0, vote: 0, commit: 0 }
    assert.deepEqual(made, { hardState: empty, snapshot: { index: 0, term: 0, membership: members }, entries: [] })
    await assert.rejects(storage.create(7, members), /group 7/)
    await assert.rejects(storage.create(0, members), RangeError)
    await assert.rejects(storage.create(2 ** 32, members), RangeError)
    await storage.create(2 ** 32 - 1, members)
    storage = await fixture.reopen('kill')
    assert.deepEqual(storage.groups, [7, 2 ** 32 - 1])
    assert.deepEqual(storage.recovered(7), made)
  },

  async 'what is done is there after a kill, in the order of the calls'(open) {
    await using fixture = await open()
    let { storage } = fixture
    await storage.create(1, members)
    await storage.create(2, members)
    const order: string[] = []
    const stored = [
      stores(storage, 1, work({ term: 1, vote: 2, entries: list(1, 1, ['a', 'b']) }), () => order.push('1')),
      stores(storage, 2, work({ term: 4, vote: 0, entries: list(1, 4, ['x']) }), () => order.push('2')),
      stores(storage, 1, work({ term: 1, vote: 2, commit: 2, entries: list(3, 1, ['c']) }), () => order.push('3')),
    ]
    assert.deepEqual(order, [], 'never called inside of append')
    await Promise.all(stored)
    assert.deepEqual(order, ['1', '2', '3'])
    storage = await fixture.reopen('kill')
    const first = storage.recovered(1)
    assert.deepEqual(first?.hardState, { term: 1, vote: 2, commit: 2 })
    assert.deepEqual(texts(first?.entries), ['1/1 a', '2/1 b', '3/1 c'])
    assert.deepEqual(texts(storage.recovered(2)?.entries), ['1/4 x'])
    assert.deepEqual(storage.recovered(1)?.entries, [], 'entries are handed out once')
  },

  async 'an entry replaces what is at its index and behind'(open) {
    await using fixture = await open()
    let { storage } = fixture
    await storage.create(1, members)
    await stores(storage, 1, work({ term: 1, entries: list(1, 1, ['a', 'b', 'c', 'd']) }))
    await stores(storage, 1, work({ term: 2, entries: list(3, 2, ['C']) }))
    storage = await fixture.reopen('kill')
    assert.deepEqual(texts(storage.recovered(1)?.entries), ['1/1 a', '2/1 b', '3/2 C'])
    await stores(storage, 1, work({ term: 3, entries: list(2, 3, ['B']) }))
    storage = await fixture.reopen('close')
    assert.deepEqual(texts(storage.recovered(1)?.entries), ['1/1 a', '2/3 B'])
  },

  async 'kinds and data of every length come back'(open) {
    await using fixture = await open()
    let { storage } = fixture
    await storage.create(1, members)
    const entries: Entry[] = []
    for (let size = 0; size < 40; size++) {
      const kind = (['command', 'membership', 'noop'] as const)[size % 3] as Entry['kind']
      entries.push({ index: size + 1, term: 1, kind, data: Buffer.alloc(size, size) })
    }
    entries.push({ index: 41, term: 2 ** 53 - 1, kind: 'command', data: Buffer.alloc(3_000_000, 7) })
    await stores(storage, 1, work({ term: 2 ** 53 - 1, vote: 2 ** 32 - 1, commit: 41, entries }))
    storage = await fixture.reopen('kill')
    const recovered = storage.recovered(1)
    assert.deepEqual(recovered?.hardState, { term: 2 ** 53 - 1, vote: 2 ** 32 - 1, commit: 41 })
    assert.equal(recovered?.entries.length, 41)
    for (const [at, { data, ...rest }] of recovered.entries.entries()) {
      const { data: given, ...others } = entries[at] as Entry
      assert.deepEqual(rest, others)
      assert.equal(Buffer.compare(data, given), 0)
    }
  },

  async 'a work that needs no durability is done in its turn and there after a close'(open) {
    await using fixture = await open()
    let { storage } = fixture
    await storage.create(1, members)
    const order: number[] = []
    const first = stores(storage, 1, work({ term: 1, entries: list(1, 1, ['a']) }), () => order.push(1))
    const second = stores(storage, 1, work({ term: 1, commit: 1, sync: false }), () => order.push(2))
    await Promise.all([first, second])
    await stores(storage, 1, work({ term: 1, commit: 1, sync: false }), () => order.push(3))
    assert.deepEqual(order, [1, 2, 3])
    storage = await fixture.reopen('close')
    assert.deepEqual(storage.recovered(1)?.hardState, { term: 1, vote: 0, commit: 1 })
  },

  async 'a removed group is gone and may be made again'(open) {
    await using fixture = await open()
    let { storage } = fixture
    await storage.create(1, members)
    await storage.create(2, members)
    await stores(storage, 1, work({ term: 1, entries: list(1, 1, ['a']) }))
    await storage.saveSnapshot(1, mark(1, 1), chunks('state'))
    await storage.remove(1)
    assert.deepEqual(storage.groups, [2])
    assert.equal(storage.recovered(1), undefined)
    storage = await fixture.reopen('kill')
    assert.deepEqual(storage.groups, [2])
    await storage.create(1, members)
    assert.equal(await storage.openSnapshot(1), undefined)
    await stores(storage, 1, work({ term: 5, entries: list(1, 5, ['n']) }))
    storage = await fixture.reopen('kill')
    assert.deepEqual(texts(storage.recovered(1)?.entries), ['1/5 n'])
  },

  async 'what is stored when something is done is stored like everything'(open) {
    await using fixture = await open()
    let { storage } = fixture
    await storage.create(1, members)
    await new Promise<void>(resolve => {
      storage.append(1, work({ term: 1, commit: 0, sync: false }), () => {
        storage.append(1, work({ term: 1, entries: list(1, 1, ['a']) }), resolve)
        storage.append(1, work({ term: 1, sync: false }), () => undefined)
      })
    })
    storage = await fixture.reopen('kill')
    assert.deepEqual(texts(storage.recovered(1)?.entries), ['1/1 a'])
  },

  async 'mistakes of the caller are refused at once'(open) {
    await using fixture = await open()
    let { storage } = fixture
    await storage.create(1, members)
    const never = (): void => assert.fail('nothing was stored')
    assert.throws(() => storage.append(2, work({ term: 1 }), never), RangeError)
    assert.throws(() => storage.append(1, work({ term: 1, entries: list(2, 1, ['b']) }), never), RangeError)
    const stored = stores(storage, 1, work({ term: 1, entries: list(1, 1, ['a']) }))
    assert.throws(() => storage.append(1, work({ term: 1, entries: list(3, 1, ['c']) }), never), RangeError)
    await Promise.all([stored, stores(storage, 1, work({ term: 1, entries: list(2, 1, ['b']) }))])
    storage = await fixture.reopen('kill')
    assert.deepEqual(texts(storage.recovered(1)?.entries), ['1/1 a', '2/1 b'])
  },

  async 'nothing is taken after close'(open) {
    await using fixture = await open()
    const { storage } = fixture
    await storage.create(1, members)
    await storage.close()
    await storage.close()
    assert.throws(
      () => storage.append(1, work({ term: 1 }), () => undefined),
      error => CloudError.is(error, 'core.ha.stopped'),
    )
    await assert.rejects(storage.create(2, members), error => CloudError.is(error, 'core.ha.stopped'))
  },
}

const snapshotChecks: Readonly<Record<string, Check>> = {
  async 'a saved snapshot is the beginning of the log'(open) {
    await using fixture = await open()
    let { storage } = fixture
    await storage.create(1, members)
    assert.equal(await storage.openSnapshot(1), undefined)
    await stores(storage, 1, work({ term: 1, commit: 3, entries: list(1, 1, ['a', 'b', 'c', 'd']) }))
    await storage.saveSnapshot(1, mark(3, 1), chunks('state', ' of ', 'three'))
    assert.equal(await contentOf(await storage.openSnapshot(1)), 'state of three')
    storage = await fixture.reopen('kill')
    const recovered = storage.recovered(1)
    assert.deepEqual(recovered?.snapshot, mark(3, 1))
    assert.deepEqual(texts(recovered?.entries), ['4/1 d'])
    assert.equal(recovered?.hardState.commit, 3)
    const snapshot = await storage.openSnapshot(1)
    assert.deepEqual(snapshot?.mark, mark(3, 1))
    assert.deepEqual(Buffer.from(snapshot?.sha256 ?? []), sha256('state of three'))
    assert.equal(await contentOf(snapshot), 'state of three')
  },

  async 'the newest of many snapshots is opened, an older one changes nothing'(open) {
    await using fixture = await open()
    let { storage } = fixture
    await storage.create(1, members)
    await stores(storage, 1, work({ term: 1, commit: 9, entries: list(1, 1, [...'abcdefghi']) }))
    for (const index of [2, 4, 6, 8]) await storage.saveSnapshot(1, mark(index, 1), chunks(`at ${index}`))
    await storage.saveSnapshot(1, mark(5, 1), chunks('late'))
    assert.equal(await contentOf(await storage.openSnapshot(1)), 'at 8')
    storage = await fixture.reopen('kill')
    assert.deepEqual(texts(storage.recovered(1)?.entries), ['9/1 i'])
    assert.equal(await contentOf(await storage.openSnapshot(1)), 'at 8')
  },

  async 'reads of a snapshot begin and end anywhere'(open) {
    await using fixture = await open()
    const { storage } = fixture
    await storage.create(1, members)
    const state = Buffer.alloc(2_500_000, 0).map((_, at) => at % 251)
    await storage.saveSnapshot(1, mark(1, 1), chunks(state.subarray(0, 1_700_001), state.subarray(1_700_001)))
    await using snapshot = (await storage.openSnapshot(1)) as StoredSnapshot
    assert.equal(snapshot.bytes, state.length)
    const places = [0, 1, 1_048_575, 1_048_576, 1_048_577, 2_097_152, 2_499_999, 2_500_000, 2_600_000]
    for (const position of places) {
      for (const length of [0, 1, 5, 1_048_576, 3_000_000]) {
        const expected = state.subarray(position, position + length)
        assert.equal(Buffer.compare(await snapshot.read(position, length), expected), 0, `${position} ${length}`)
      }
    }
  },

  async 'a received snapshot replaces the log'(open) {
    await using fixture = await open()
    let { storage } = fixture
    await storage.create(1, members)
    await stores(storage, 1, work({ term: 1, entries: list(1, 1, ['a', 'b']) }))
    const state = Buffer.alloc(1_500_000, 3)
    {
      await using inlet = await storage.receiveSnapshot(1, mark(50, 4), state.length, sha256(state))
      assert.equal(inlet.received, 0)
      for (let at = 0; at < state.length; at += 400_000) await inlet.write(state.subarray(at, at + 400_000))
      await inlet.finish()
    }
    const received = await storage.openSnapshot(1)
    assert.deepEqual(received?.mark, mark(50, 4), 'there before the log says so')
    await received?.[Symbol.asyncDispose]()
    await stores(storage, 1, { ...work({ term: 4, commit: 50 }), snapshot: mark(50, 4) })
    await stores(storage, 1, work({ term: 4, commit: 50, entries: list(51, 4, ['n']) }))
    storage = await fixture.reopen('kill')
    const recovered = storage.recovered(1)
    assert.deepEqual(recovered?.snapshot, mark(50, 4))
    assert.deepEqual(recovered?.hardState, { term: 4, vote: 0, commit: 50 })
    assert.deepEqual(texts(recovered?.entries), ['51/4 n'])
    assert.equal(Buffer.compare(await bytesOf(await storage.openSnapshot(1)), state), 0)
  },

  async 'a partial snapshot is gone on with, another mark starts anew'(open) {
    await using fixture = await open()
    let { storage } = fixture
    await storage.create(1, members)
    const state = Buffer.alloc(3_100_000, 9).map((_, at) => at % 13)
    const sum = sha256(state)
    {
      await using inlet = await storage.receiveSnapshot(1, mark(50, 4), state.length, sum)
      await inlet.write(state.subarray(0, 2_100_000))
    }
    const other = await storage.receiveSnapshot(1, mark(51, 4), state.length, sum)
    assert.equal(other.received, 0)
    await other.write(state.subarray(0, 1_500_000))
    await other[Symbol.asyncDispose]()
    const later = await storage.receiveSnapshot(1, mark(51, 4), state.length, sum)
    assert.ok(later.received > 0 && later.received <= 1_500_000, `${later.received}`)
    await later[Symbol.asyncDispose]()
    storage = await fixture.reopen('kill')
    const again = await storage.receiveSnapshot(1, mark(51, 4), state.length, sum)
    // What was not synced may be gone.
    assert.ok(again.received <= 1_500_000, `${again.received}`)
    for (let at = again.received; at < state.length; at += 777_777) await again.write(state.subarray(at, at + 777_777))
    await again.finish()
    await again[Symbol.asyncDispose]()
    assert.equal(Buffer.compare(await bytesOf(await storage.openSnapshot(1)), state), 0)
  },

  async 'a snapshot that arrives wrong is refused and forgotten'(open) {
    await using fixture = await open()
    const { storage } = fixture
    await storage.create(1, members)
    const corrupt = (error: unknown): boolean => CloudError.is(error, 'core.ha.corrupt')
    const wrong = await storage.receiveSnapshot(1, mark(9, 1), 5, sha256('hello'))
    await wrong.write(Buffer.from('hellO'))
    await assert.rejects(wrong.finish(), corrupt)
    await wrong[Symbol.asyncDispose]()
    const short = await storage.receiveSnapshot(1, mark(9, 1), 5, sha256('hello'))
    assert.equal(short.received, 0)
    await short.write(Buffer.from('hell'))
    await assert.rejects(short.finish(), corrupt)
    await short[Symbol.asyncDispose]()
    const long = await storage.receiveSnapshot(1, mark(9, 1), 5, sha256('hello'))
    await assert.rejects(async () => long.write(Buffer.from('hello!')), corrupt)
    await long[Symbol.asyncDispose]()
    assert.equal(await storage.openSnapshot(1), undefined)
  },

  async 'a witness keeps marks without data'(open) {
    await using fixture = await open()
    let { storage } = fixture
    await storage.create(1, initialMembership({ voters: [1, 2], witnesses: [3] }))
    await stores(storage, 1, { ...work({ term: 2, commit: 40 }), snapshot: mark(40, 2) })
    await stores(storage, 1, work({ term: 2, commit: 40, entries: list(41, 2, ['', '']) }))
    storage = await fixture.reopen('kill')
    const recovered = storage.recovered(1)
    assert.deepEqual(recovered?.snapshot, mark(40, 2))
    assert.deepEqual(texts(recovered?.entries), ['41/2 ', '42/2 '])
    assert.equal(await storage.openSnapshot(1), undefined)
  },
}

/** A work; `sync` unless told otherwise. */
export function work(given: {
  readonly term: number
  readonly vote?: number
  readonly commit?: number
  readonly entries?: readonly Entry[]
  readonly sync?: boolean
}): AppendWork {
  const { term, vote = 0, commit = 0, entries = [], sync = true } = given
  const vouches = { term, index: entries.at(-1)?.index ?? 0, logTerm: entries.at(-1)?.term ?? 0 }
  return { hardState: { term, vote, commit }, snapshot: undefined, entries, sync, after: [], vouches }
}

/** Commands from `index` on. */
export function list(index: number, term: number, data: readonly string[]): readonly Entry[] {
  return data.map((text, at) => ({ index: index + at, term, kind: 'command', data: Buffer.from(text) }))
}

/** Resolves when the work is done, after `then`. */
export function stores(storage: RaftStorage, group: GroupId, work: AppendWork, then?: () => void): Promise<void> {
  return new Promise(resolve => {
    storage.append(group, work, () => {
      then?.()
      resolve()
    })
  })
}

function texts(entries: readonly Entry[] = []): readonly string[] {
  return entries.map(({ index, term, data }) => `${index}/${term} ${Buffer.from(data).toString()}`)
}

function mark(index: number, term: number): SnapshotMark {
  return { index, term, membership: members }
}

async function* chunks(...parts: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part)
}

function sha256(data: string | Uint8Array): Buffer {
  return createHash('sha256').update(data).digest()
}

async function contentOf(snapshot: StoredSnapshot | undefined): Promise<string> {
  return (await bytesOf(snapshot)).toString()
}

async function bytesOf(snapshot: StoredSnapshot | undefined): Promise<Buffer> {
  if (snapshot === undefined) return Buffer.alloc(0)
  await using open = snapshot
  return Buffer.from(await open.read(0, open.bytes + 1))
}
