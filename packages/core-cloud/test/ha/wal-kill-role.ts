import { appendFileSync } from 'node:fs'
import { seededRandom } from '@aaas/testing'
import { list, work } from '../../src/ha/storage-suite.js'
import { openDiskStorage } from '../../src/ha/wal/disk-storage.js'
import { diskFiles } from '../../src/kernel/files/disk-files.js'

/*
 * A process that is killed: opens the log of argv[2], goes on where it ends, and tells every stored index, by the
 * group, on its output before the next one. Entries say who they are.
 */

const [, , dir = '', seed = '1'] = process.argv
const membership = { voters: [1], outgoing: [], learners: [], learnersNext: [], witnesses: [], autoLeave: false }
const groups = [1, 2, 3]
const random = seededRandom(Number(seed))
const files = await diskFiles(dir, process.pid)
const storage = await openDiskStorage({ cluster: 'kill', node: 1, files, segmentBytes: 262_144 })
process.stdout.write('open\n')

async function run(group: number): Promise<void> {
  const found = storage.recovered(group) ?? (await storage.create(group, membership))
  let last = found.entries.at(-1)?.index ?? found.snapshot.index
  for (;;) {
    const count = 1 + Math.floor(random() * 4)
    const data = Array.from({ length: count }, (_, at) => `${group}/${last + 1 + at}/`.padEnd(900 * random() + 20, 'x'))
    const entries = list(last + 1, 1, data)
    last += count
    await new Promise<void>(resolve => {
      storage.append(group, work({ term: 1, vote: 1, commit: last - count, entries }), () => {
        // Told before anything else happens: what is on this line was vouched for.
        appendFileSync(1, `${group} ${last}\n`)
        resolve()
      })
    })
    if (random() < 0.02) {
      await storage.saveSnapshot(group, { index: last, term: 1, membership }, state(group, last))
      appendFileSync(1, `${group} ${last}\n`)
    }
  }
}

async function* state(group: number, index: number): AsyncGenerator<Uint8Array> {
  yield Buffer.from(`${group} at ${index}`)
}

await Promise.all(groups.map(run))
