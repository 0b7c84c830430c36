import { SimDisk, seededRandom } from '@aaas/testing'
import { test } from 'tap'
import type { AppendWork } from '../../src/ha/raft/types.js'
import { list, stores, work } from '../../src/ha/storage-suite.js'
import { type DiskStorageOptions, openDiskStorage } from '../../src/ha/wal/disk-storage.js'
import { walVerify } from '../../src/ha/wal/verify.js'
import { CloudError } from '../../src/kernel/errors.js'
import { runWorkload, snapshotFault, WalModel } from './wal-model.js'

const identity = { cluster: 'damage', node: 1, segmentBytes: 65_536 }
const members = { voters: [1], outgoing: [], learners: [], learnersNext: [], witnesses: [], autoLeave: false }

async function open(disk: SimDisk, options: Partial<DiskStorageOptions> = {}): ReturnType<typeof openDiskStorage> {
  return openDiskStorage({ ...identity, files: disk.files(), ...options })
}

/** A log of some segments, and what it holds; everything that was done is vouched for. */
async function filled(seed: number, how: 'closed' | 'killed'): Promise<{ disk: SimDisk; model: WalModel }> {
  const disk = new SimDisk(seed)
  const model = new WalModel()
  const storage = await open(disk)
  await runWorkload({ storage, model, random: seededRandom(seed), length: 250, maxBytes: 2_000 })
  if (how === 'closed') await storage.close()
  disk.crash()
  disk.restart('kill')
  return { disk, model }
}

/** @returns how the start ended, or what it did wrong. */
async function outcome(disk: SimDisk, model: WalModel): Promise<string> {
  const report = await walVerify(disk.files())
  try {
    const storage = await open(disk)
    const fault = model.fault(storage) ?? (await snapshotFault(storage))
    if (fault !== undefined) return `served wrong data: ${fault}`
    if (!report.ok) return `verify saw ${report.problem?.message}, the start did not`
    await storage.close()
    return 'recovered'
  } catch (error) {
    if (!CloudError.is(error, 'core.ha.corrupt')) return `unclear: ${String(error)}`
    if (report.problem?.message !== error.message) return `verify says ${report.problem?.message}: ${error.message}`
    const clear = /^\/sim\/\w+\/[\w.-]+ is damaged at byte \d+: .+ the others have the data$/.test(error.message)
    return clear ? 'refused' : `not clear: ${error.message}`
  }
}

test('a flipped bit is found, wherever it is, or hurts nothing', async t => {
  const counts: Record<string, number> = {}
  for (const how of ['closed', 'killed'] as const) {
    const { disk, model } = await filled(7, how)
    const random = seededRandom(8)
    for (let turn = 0; turn < 150; turn++) {
      const copy = disk.copy(turn)
      const folder = random() < 0.8 ? 'log' : 'snapshots'
      const names = copy.names(folder)
      const bytes = copy.bytes(folder, names[Math.floor(random() * names.length)] as string)
      const place = Math.floor(random() * bytes.length)
      bytes[place] = (bytes[place] as number) ^ (1 << Math.floor(random() * 8))
      const result = await outcome(copy, model)
      counts[result] = (counts[result] ?? 0) + 1
    }
  }
  t.same(Object.keys(counts).toSorted(), ['recovered', 'refused'], JSON.stringify(counts))
})

test('a deleted file is missed', async t => {
  const { disk, model } = await filled(9, 'killed')
  const names = disk.names('log').filter(name => name.endsWith('.wal'))
  t.ok(names.length >= 3, `${names.length} segments`)
  for (const name of names.slice(0, -1)) {
    const copy = disk.copy(1)
    copy.lose('log', name)
    t.equal(await outcome(copy, model), 'refused', name)
  }
  const all = disk.copy(1)
  for (const name of names) all.lose('log', name)
  await t.rejects(open(all), { code: 'core.ha.corrupt', message: /there was a log/ })
  const closed = await filled(9, 'closed')
  const before = await open(closed.disk)
  await before.close()
  closed.disk.lose('log', closed.disk.names('log').findLast(name => name.endsWith('.wal')) as string)
  t.equal(await outcome(closed.disk, closed.model), 'refused', 'the newest one')
  const snapshots = await filled(9, 'closed')
  for (const name of snapshots.disk.names('snapshots')) snapshots.disk.lose('snapshots', name)
  t.equal(await outcome(snapshots.disk, snapshots.model), 'refused', 'snapshots')
})

test('a bad record of the last write is torn only when it looks so', async t => {
  const disk = new SimDisk(1)
  const storage = await open(disk)
  await storage.create(1, members)
  const full = Buffer.alloc(3_000, 'x').toString()
  await stores(storage, 1, work({ term: 1, entries: list(1, 1, ['a']) }))
  await stores(storage, 1, work({ term: 1, entries: list(2, 1, [full]) }))
  const name = disk.names('log').find(file => file.endsWith('.wal')) as string
  const data = disk.bytes('log', name).indexOf(full)
  disk.crash()
  disk.restart('kill')
  const torn = disk.copy(1)
  const sector = Math.ceil(data / 512) * 512
  torn.bytes('log', name).fill(0, sector, sector + 512)
  const again = await open(torn)
  t.equal(again.recovered(1)?.entries.length, 1, 'a sector that never arrived')
  await again.close()
  const flipped = disk.copy(1)
  flipped.bytes('log', name)[sector] = 0
  await t.rejects(open(flipped), { code: 'core.ha.corrupt', message: /written whole/ })
})

test('a directory of somebody else is refused', async t => {
  const disk = new SimDisk(1)
  await (await open(disk)).close()
  await t.rejects(open(disk, { cluster: 'other' }), { code: 'core.ha.wrong-cluster', field: 'dir' })
  await t.rejects(open(disk, { node: 2 }), { code: 'core.ha.duplicate-node', field: 'node' })
  await t.rejects(open(disk, { node: 0 }), { code: 'core.kernel.invalid-config', field: 'node' })
  await t.rejects(open(disk, { cluster: '' }), { code: 'core.kernel.invalid-config', field: 'cluster' })
  await (await open(disk)).close()
})

test('an entry has at most 32 MiB, and limits have theirs', async t => {
  const disk = new SimDisk(1)
  for (const segmentBytes of [65_535, 1_073_741_825]) {
    await t.rejects(open(disk, { segmentBytes }), { code: 'core.kernel.invalid-config', field: 'segmentBytes' })
  }
  for (const maxGroups of [0, 100_001]) {
    await t.rejects(open(disk, { maxGroups }), { code: 'core.kernel.invalid-config', field: 'maxGroups' })
  }
  const storage = await open(disk)
  await storage.create(1, members)
  const entry = (bytes: number): AppendWork => {
    const entries = [{ index: 1, term: 1, kind: 'command', data: Buffer.alloc(bytes) } as const]
    return work({ term: 1, entries })
  }
  t.throws(() => storage.append(1, entry(33_554_433), () => undefined), RangeError)
  await stores(storage, 1, entry(33_554_432))
  await storage.close()
  const again = await open(disk, { segmentBytes: 1_073_741_824, maxGroups: 100_000 })
  t.equal(again.recovered(1)?.entries[0]?.data.length, 33_554_432)
  await again.close()
})

test('no more groups than the limit', async t => {
  const storage = await open(new SimDisk(1), { maxGroups: 2 })
  await storage.create(1, members)
  await storage.create(2, members)
  await t.rejects(storage.create(3, members), { code: 'core.kernel.invalid-config', field: 'maxGroups' })
  await storage.remove(1)
  await storage.create(3, members)
  await storage.close()
})

test('after a failed sync nothing is vouched for', async t => {
  const disk = new SimDisk(3)
  const storage = await open(disk)
  await storage.create(1, members)
  await stores(storage, 1, work({ term: 1, entries: list(1, 1, ['a']) }))
  disk.faults.syncErrors = 1
  const done: number[] = []
  storage.append(1, work({ term: 1, entries: list(2, 1, ['b']) }), () => done.push(1))
  storage.append(1, work({ term: 1, entries: list(3, 1, ['c']) }), () => done.push(2))
  t.match((await storage.failed).message, /EIO/)
  disk.faults.syncErrors = 0
  t.throws(() => storage.append(1, work({ term: 1 }), () => done.push(3)), { code: 'core.ha.stopped' })
  await t.rejects(storage.create(2, members), { code: 'core.ha.stopped' })
  await t.rejects(storage.openSnapshot(1), { code: 'core.ha.stopped' })
  await storage.close()
  t.same(done, [])
  disk.crash()
  disk.restart()
  const again = await open(disk)
  t.equal(again.recovered(1)?.entries.length, 1)
  await again.close()
})

test('a full disk ends the log, and costs a snapshot only itself', async t => {
  const disk = new SimDisk(3)
  const storage = await open(disk)
  await storage.create(1, members)
  await stores(storage, 1, work({ term: 1, commit: 1, entries: list(1, 1, ['a', 'b']) }))
  disk.faults.capacity = 400_000
  const large = async function* (): AsyncGenerator<Uint8Array> {
    for (let count = 0; count < 4; count++) yield Buffer.alloc(1_048_576, 1)
  }
  const mark = { index: 1, term: 1, membership: members }
  await t.rejects(storage.saveSnapshot(1, mark, large()), { code: 'core.kernel.not-writable', retryable: true })
  t.same(disk.names('snapshots'), [], 'nothing is left of it')
  await stores(storage, 1, work({ term: 1, entries: list(3, 1, ['c']) }))
  let stored = 3
  let failed: Error | undefined
  void storage.failed.then(error => {
    failed = error
  })
  while (failed === undefined && stored < 5_000) {
    const entries = list(stored + 1, 1, ['x'.repeat(900)])
    await Promise.race([stores(storage, 1, work({ term: 1, entries }), () => (stored += 1)), storage.failed])
  }
  t.match(failed?.message, /ENOSPC/)
  await storage.close()
  disk.faults.capacity = Number.POSITIVE_INFINITY
  disk.crash()
  disk.restart()
  const again = await open(disk)
  const recovered = again.recovered(1)?.entries.length ?? 0
  t.ok(recovered === stored || recovered === stored + 1, `${recovered} of ${stored}`)
  await again.close()
})

test('a look at what is no log changes nothing and says so', async t => {
  const disk = new SimDisk(1)
  t.match(await walVerify(disk.files()), { ok: false, problem: { message: 'there is no log' }, groups: [] })
  t.same(disk.operations, 0)
  await t.rejects(walVerify('/nowhere/at/all'), { code: 'core.kernel.invalid-config', field: 'dir' })
})

test('what cannot be read stops the start', async t => {
  const { disk, model } = await filled(11, 'closed')
  disk.faults.readErrors = 1
  await t.rejects(open(disk), { code: 'core.kernel.not-writable', field: 'dir' })
  disk.faults.readErrors = 0
  t.equal(await outcome(disk, model), 'recovered')
})

test('a slow group does not keep the log of the others', async t => {
  const disk = new SimDisk(5)
  const storage = await open(disk)
  for (const group of [1, 2]) await storage.create(group, members)
  await stores(storage, 1, work({ term: 1, entries: list(1, 1, ['slow', 'group']) }))
  const none = async function* (): AsyncGenerator<Uint8Array> {}
  let index = 0
  let largest = 0
  for (let turn = 0; turn < 60; turn++) {
    for (let count = 0; count < 20; count++) {
      index += 1
      await stores(storage, 2, work({ term: 1, commit: index, entries: list(index, 1, ['y'.repeat(1_000)]) }))
    }
    await storage.saveSnapshot(2, { index, term: 1, membership: members }, none())
    if (turn % 7 === 0) {
      const next = 3 + turn / 7
      await stores(storage, 1, work({ term: 1, entries: list(next, 1, [`${next}`]) }))
    }
    largest = Math.max(largest, disk.names('log').length)
  }
  t.ok(largest <= 7, `${largest} files`)
  await storage.close()
  const report = await walVerify(disk.files())
  t.match(report, { ok: true, closed: true, torn: 0, cluster: 'damage', node: 1 })
  t.match(report.groups, [
    { group: 1, snapshotIndex: 0, last: 11 },
    { group: 2, snapshotIndex: 1_200, snapshotBytes: 0 },
  ])
  // Every start begins a new file; what the old ones have is copied when it is little.
  for (let start = 0; start < 25; start++) {
    const next = await open(disk)
    await stores(next, 2, work({ term: 1, commit: 1_201 + start, entries: list(1_201 + start, 1, ['n']) }))
    await stores(next, 2, work({ term: 2 + start, commit: 1_201 + start }))
    await next.close()
  }
  t.ok(disk.names('log').length <= 6, `${disk.names('log').length} files after 25 starts`)
  const again = await open(disk)
  const texts = again.recovered(1)?.entries.map(({ data }) => Buffer.from(data).toString())
  t.same(texts, ['slow', 'group', '3', '4', '5', '6', '7', '8', '9', '10', '11'])
  await again.close()
})
