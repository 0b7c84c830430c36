import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { seededRandom } from '@aaas/testing'
import { test } from 'tap'
import { openDiskStorage } from '../../src/ha/wal/disk-storage.js'
import { walVerify } from '../../src/ha/wal/verify.js'
import { diskFiles } from '../../src/kernel/files/disk-files.js'

const role = fileURLToPath(new URL('wal-kill-role.js', import.meta.url))

/** Lets the role run until it has told so many lines, and kills it. @returns the last index it told of every group. */
async function killedAfter(dir: string, seed: number, lines: number): Promise<Map<number, number>> {
  const child = spawn(process.execPath, [role, dir, String(seed)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const told = new Map<number, number>()
  let rest = ''
  let count = 0
  child.stdout.setEncoding('utf8')
  child.stdout.on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop() ?? ''
    for (const line of parts) {
      const [group, index] = line.split(' ').map(Number)
      if (index !== undefined) told.set(group as number, Math.max(index, told.get(group as number) ?? 0))
      count += 1
    }
    if (count >= lines) child.kill('SIGKILL')
  })
  await once(child, 'close')
  return told
}

test('a process that is killed again and again loses nothing that it vouched for', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'aaas-wal-kill-'))
  const random = seededRandom(1)
  const vouched = new Map<number, number>()
  for (let turn = 1; turn <= 6; turn++) {
    const told = await killedAfter(dir, turn, 50 + Math.floor(random() * 600))
    t.ok(told.size > 0, 'it worked before it was killed')
    for (const [group, index] of told) vouched.set(group, index)
    const report = await walVerify(dir)
    t.match(report, { ok: true, closed: false, cluster: 'kill', node: 1 })
    const files = await diskFiles(dir, process.pid)
    const storage = await openDiskStorage({ cluster: 'kill', node: 1, files, segmentBytes: 262_144 })
    for (const [group, index] of vouched) {
      const found = storage.recovered(group)
      const last = found?.entries.at(-1)?.index ?? found?.snapshot.index ?? 0
      t.ok(last >= index, `group ${group}: ${last} of ${index}`)
      const wrong = found?.entries.filter(
        entry => !Buffer.from(entry.data).toString().startsWith(`${group}/${entry.index}/`),
      )
      t.same(wrong, [])
      t.ok((found?.hardState.commit ?? 0) >= (found?.snapshot.index ?? 0))
      await using snapshot = await storage.openSnapshot(group)
      const text = snapshot === undefined ? '' : (await snapshot.read(0, snapshot.bytes)).toString()
      t.equal(text, snapshot === undefined ? '' : `${group} at ${found?.snapshot.index}`)
    }
    await storage.close()
  }
  rmSync(dir, { recursive: true, force: true })
})
