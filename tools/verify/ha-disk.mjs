// The write-ahead log of consensus groups on a disk that fails: power cuts with torn writes, flipped bits, lost files, a
// full disk, a directory that cannot be written, kill -9. Every start either has exactly what was vouched for (or more
// of what was written, in its order) or refuses with file, byte and what to do. Then works a second against a loop that
// does nothing but write and wait. AAAS_DISK_SCALE=0.1 is a short run.
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDiskStorage } from '../../packages/core-cloud/dist/src/ha/wal/disk-storage.js'
import { walVerify } from '../../packages/core-cloud/dist/src/ha/wal/verify.js'
import { CloudError } from '../../packages/core-cloud/dist/src/kernel/errors.js'
import { diskFiles } from '../../packages/core-cloud/dist/src/kernel/files/disk-files.js'
import { runWorkload, snapshotFault, WalModel } from '../../packages/core-cloud/dist/test/ha/wal-model.js'
import { SimDisk, seededRandom } from '../../packages/testing/dist/src/index.js'
import { rates } from './_ha-disk-rates.mjs'
import { asNobody, killRuns, onTinyDisk } from './_ha-disk-real.mjs'

const identity = { cluster: 'verify', node: 1, segmentBytes: 65_536 }
const refusal = /is damaged at byte \d+: .+ Remove the node from its groups/

export async function verify({ say }) {
  const scale = Number(process.env.AAAS_DISK_SCALE ?? 1)
  const times = count => Math.max(5, Math.round(count * scale))
  const home = mkdtempSync(join(tmpdir(), 'aaas-ha-disk-'))
  const parts = {}
  const part = async (name, run) => {
    parts[name] = await run()
    say(`${name}: ${JSON.stringify(parts[name])}`)
  }
  try {
    await part('powerCuts', () => powerCuts(times(1_200)))
    await part('flippedBits', () => flippedBits(times(4_000)))
    await part('flippedBitsOnDisk', () => flippedBitsOnDisk(home, times(150)))
    await part('lostFiles', () => lostFiles(times(8)))
    await part('fullDisk', () => fullDisk(times(120)))
    await part('tinyDisk', () => onTinyDisk(home))
    await part('readOnly', () => asNobody(home))
    await part('kills', () => killRuns(home, times(12)))
    await part('rates', () => rates(home, Math.max(0.3, 2 * scale)))
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
  const judged = [
    'powerCuts',
    'flippedBits',
    'flippedBitsOnDisk',
    'lostFiles',
    'fullDisk',
    'tinyDisk',
    'readOnly',
    'kills',
  ]
  return { ok: judged.every(name => parts[name].wrong.length === 0), ...parts }
}

const openSim = disk => openDiskStorage({ ...identity, files: disk.files() })

/** Counts how starts end; `wrong` has what should never be. */
class Outcomes {
  recovered = 0
  refused = 0
  wrong = []

  async start(open, report, model, mayRefuse = true) {
    try {
      const storage = await open()
      const fault = model.fault(storage) ?? (await snapshotFault(storage))
      if (fault !== undefined) this.wrong.push(fault)
      else if (report !== undefined && !report.ok) this.wrong.push(`verify saw what a start did not: ${report.problem}`)
      else this.recovered += 1
      await storage.close()
    } catch (error) {
      const clear = CloudError.is(error, 'core.ha.corrupt') && refusal.test(error.message)
      if (!mayRefuse || !clear) this.wrong.push(`refused: ${error}`)
      else if (report !== undefined && report.problem?.message !== error.message) this.wrong.push(`verify: ${error}`)
      else this.refused += 1
    }
  }

  json(more = {}) {
    return { recovered: this.recovered, refused: this.refused, ...more, wrong: this.wrong.slice(0, 5) }
  }
}

/** Power goes inside of a random operation of the disk; whatever was not synced is lost in part. */
async function powerCuts(count) {
  const outcomes = new Outcomes()
  for (let seed = 1; seed <= count; seed++) {
    const random = seededRandom(seed)
    const disk = new SimDisk(seed)
    const model = new WalModel()
    disk.cutAt(1 + Math.floor(random() * 120))
    try {
      const storage = await openSim(disk)
      await runWorkload({ storage, model, random, length: 80, maxBytes: 3_000 })
    } catch {
      // The power went while it started.
    }
    disk.crash()
    disk.restart()
    await outcomes.start(() => openSim(disk), undefined, model, false)
  }
  return outcomes.json({ cuts: count })
}

async function filled(disk, seed, how) {
  const model = new WalModel()
  const storage = await openSim(disk)
  await runWorkload({ storage, model, random: seededRandom(seed), length: 200, maxBytes: 2_000 })
  if (how === 'closed') await storage.close()
  disk.crash()
  disk.restart('kill')
  return model
}

/** One bit of one file of a log that was stopped in order, or killed. */
async function flippedBits(count) {
  const outcomes = new Outcomes()
  const bases = []
  for (let seed = 1; seed <= 8; seed++) {
    const disk = new SimDisk(seed)
    bases.push({ disk, model: await filled(disk, seed, seed % 2 === 0 ? 'closed' : 'killed') })
  }
  const random = seededRandom(99)
  for (let turn = 0; turn < count; turn++) {
    const { disk, model } = bases[turn % bases.length]
    const copy = disk.copy(turn)
    const folder = random() < 0.85 ? 'log' : 'snapshots'
    const names = copy.names(folder)
    const bytes = copy.bytes(folder, names[Math.floor(random() * names.length)])
    const place = Math.floor(random() * bytes.length)
    bytes[place] ^= 1 << Math.floor(random() * 8)
    const report = await walVerify(copy.files())
    await outcomes.start(() => openSim(copy), report, model)
  }
  return outcomes.json({ flips: count })
}

/** The same on files of this machine's disk. */
async function flippedBitsOnDisk(home, count) {
  const outcomes = new Outcomes()
  const source = join(home, 'flips')
  const open = async dir => openDiskStorage({ ...identity, files: await diskFiles(dir, process.pid) })
  const model = new WalModel()
  const storage = await open(source)
  await runWorkload({ storage, model, random: seededRandom(5), length: 150, maxBytes: 2_000 })
  await storage.close()
  const random = seededRandom(6)
  for (let turn = 0; turn < count; turn++) {
    const copy = join(home, 'flipped')
    cpSync(source, copy, { recursive: true })
    const names = readdirSync(join(copy, 'log')).filter(name => name.endsWith('.wal'))
    const path = join(copy, 'log', names[Math.floor(random() * names.length)])
    const bytes = readFileSync(path)
    const place = Math.floor(random() * bytes.length)
    bytes[place] ^= 1 << Math.floor(random() * 8)
    writeFileSync(path, bytes)
    await outcomes.start(() => open(copy), await walVerify(copy), model)
    rmSync(copy, { recursive: true })
  }
  return outcomes.json({ flips: count })
}

/** Each file of some logs is gone once. The newest segment of a killed log is the one that nothing refers to yet. */
async function lostFiles(logs) {
  const outcomes = new Outcomes()
  let files = 0
  for (let seed = 1; seed <= logs; seed++) {
    const disk = new SimDisk(seed)
    const model = await filled(disk, seed, 'closed')
    // A second life refers to the segments of the first.
    await (await openSim(disk)).close()
    const segments = disk.names('log').filter(name => name.endsWith('.wal'))
    for (const name of segments) {
      const copy = disk.copy(1)
      copy.lose('log', name)
      await outcomes.start(() => openSim(copy), await walVerify(copy.files()), model)
      files += 1
    }
    const all = disk.copy(1)
    for (const name of segments) all.lose('log', name)
    await outcomes.start(() => openSim(all), undefined, model)
    files += 1
  }
  return outcomes.json({ files })
}

/** A disk of a random size fills up while groups work; then it is made larger and the node started again. */
async function fullDisk(count) {
  const outcomes = new Outcomes()
  let stopped = 0
  for (let seed = 1; seed <= count; seed++) {
    const random = seededRandom(seed)
    const disk = new SimDisk(seed)
    const model = new WalModel()
    disk.faults.capacity = 100_000 + Math.floor(random() * 500_000)
    try {
      const storage = await openSim(disk)
      void storage.failed.then(() => (stopped += 1))
      await runWorkload({ storage, model, random, length: 400, maxBytes: 3_000 })
      await storage.close()
    } catch (error) {
      if (!CloudError.is(error, 'core.kernel.not-writable')) outcomes.wrong.push(`start on a full disk: ${error}`)
    }
    disk.faults.capacity = Number.POSITIVE_INFINITY
    disk.crash()
    disk.restart(seed % 2 === 0 ? 'kill' : 'power')
    await outcomes.start(() => openSim(disk), undefined, model, false)
  }
  return outcomes.json({ disks: count, stopped })
}
