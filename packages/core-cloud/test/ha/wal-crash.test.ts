import { SimDisk, seededRandom } from '@aaas/testing'
import { test } from 'tap'
import { openDiskStorage } from '../../src/ha/wal/disk-storage.js'
import { runWorkload, snapshotFault, WalModel } from './wal-model.js'

const identity = { cluster: 'crash', node: 1, segmentBytes: 65_536 }

interface Run {
  readonly seed: number
  readonly length: number
  readonly maxBytes: number
  /** Number of the operation of the disk inside of which the power goes; 0 for none. */
  readonly cutAt: number
  readonly how: 'power' | 'kill'
}

/** @returns operations of the disk, and what is wrong with what a restart finds. */
async function crashRun({ seed, length, maxBytes, cutAt, how }: Run): Promise<{ operations: number; fault?: string }> {
  const disk = new SimDisk(seed * 1_000_003 + cutAt)
  const model = new WalModel()
  const random = seededRandom(seed)
  if (cutAt > 0) disk.cutAt(cutAt)
  try {
    const storage = await openDiskStorage({ ...identity, files: disk.files() })
    await runWorkload({ storage, model, random, length, maxBytes })
    await storage.close().catch(() => undefined)
  } catch {
    // The power went at the start.
  }
  const { operations } = disk
  // What a restart does is cut as well. After a kill, what nobody synced is there, and gone with the power.
  for (let turn = 0; turn < 3; turn++) {
    disk.crash()
    disk.restart(turn === 0 ? how : 'power')
    if (turn < 2) disk.cutAt(disk.operations + 1 + ((cutAt + turn * 5) % 13))
    try {
      const storage = await openDiskStorage({ ...identity, files: disk.files() })
      const fault = model.fault(storage) ?? (await snapshotFault(storage))
      if (fault !== undefined) return { operations, fault }
      if (turn === 2) await storage.close()
    } catch (error) {
      if (!disk.cut) return { operations, fault: String(error) }
    }
  }
  return { operations }
}

for (const how of ['power', 'kill'] as const) {
  test(`the log is what was vouched for, or more, wherever the ${how} comes`, async t => {
    const faults: string[] = []
    let runs = 0
    for (let seed = 1; seed <= 2; seed++) {
      const base = { seed, length: 60, maxBytes: 3_000, how }
      const { operations, fault } = await crashRun({ ...base, cutAt: 0 })
      t.equal(fault, undefined)
      for (let cutAt = 1; cutAt <= operations; cutAt++) {
        const { fault } = await crashRun({ ...base, cutAt })
        runs += 1
        if (fault !== undefined) faults.push(`seed ${seed}, cut at ${cutAt}: ${fault}`)
      }
    }
    t.same(faults, [])
    t.ok(runs > 100, `${runs} cuts`)
    t.comment(`${runs} cuts`)
  })
}

test('many lives of one log, over many segments', async t => {
  const faults: string[] = []
  for (let seed = 100; seed < 112; seed++) {
    const random = seededRandom(seed)
    const disk = new SimDisk(seed)
    const model = new WalModel()
    let lives = 0
    for (let life = 0; life < 8; life++) {
      disk.cutAt(disk.operations + 1 + Math.floor(random() * 150))
      try {
        const storage = await openDiskStorage({ ...identity, files: disk.files() })
        const fault = model.fault(storage) ?? (await snapshotFault(storage))
        if (fault !== undefined) faults.push(`seed ${seed}, life ${life}: ${fault}`)
        await runWorkload({ storage, model, random, length: 200, maxBytes: 4_000 })
        if (random() < 0.3) await storage.close().catch(() => undefined)
        lives += 1
      } catch (error) {
        if (!disk.cut) faults.push(`seed ${seed}, life ${life}: ${String(error)}`)
      }
      disk.crash()
      disk.restart(life % 3 === 0 ? 'kill' : 'power')
      if (faults.length > 0) break
    }
    t.ok(lives > 2)
  }
  t.same(faults, [])
})
