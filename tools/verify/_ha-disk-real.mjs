// The parts of `verify ha-disk` that need the operating system: a mount, another user, processes to kill.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openDiskStorage } from '../../packages/core-cloud/dist/src/ha/wal/disk-storage.js'
import { walVerify } from '../../packages/core-cloud/dist/src/ha/wal/verify.js'
import { diskFiles } from '../../packages/core-cloud/dist/src/kernel/files/disk-files.js'

const role = fileURLToPath(new URL('../../packages/core-cloud/dist/test/ha/wal-kill-role.js', import.meta.url))
const self = fileURLToPath(import.meta.url)
const membership = { voters: [1], outgoing: [], learners: [], learnersNext: [], witnesses: [], autoLeave: false }
const open = async (dir, cluster) =>
  openDiskStorage({ cluster, node: 1, files: await diskFiles(dir, process.pid), segmentBytes: 262_144 })

const permitted = (command, ...args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0

/** A file system of 3 MiB fills up; after a restart it is read-only. */
export async function onTinyDisk(home) {
  const dir = join(home, 'tiny')
  mkdirSync(dir)
  if (!permitted('mount', '-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', dir)) return { skipped: 'no mount here', wrong: [] }
  const wrong = []
  try {
    const { stored, reason } = await fill(join(dir, 'node'))
    if (!/ENOSPC/.test(reason)) wrong.push(`stopped for ${reason}`)
    permitted('mount', '-o', 'remount,size=8m', dir)
    const storage = await open(join(dir, 'node'), 'tiny')
    const found = storage.recovered(1).entries.length
    if (found < stored) wrong.push(`${found} of ${stored} entries`)
    await storage.close()
    permitted('mount', '-o', 'remount,ro', dir)
    const readOnly = await open(join(dir, 'node'), 'tiny').then(
      () => 'opened',
      error => error.code,
    )
    if (readOnly !== 'core.kernel.not-writable') wrong.push(`read-only: ${readOnly}`)
    const report = await walVerify(join(dir, 'node'))
    if (!report.ok) wrong.push(`verify: ${report.problem}`)
    return { stored, found, reason, readOnly, wrong }
  } finally {
    permitted('umount', dir)
  }
}

async function fill(dir) {
  const storage = await open(dir, 'tiny')
  await storage.create(1, membership)
  let stored = 0
  let reason
  void storage.failed.then(error => {
    reason = error.message
  })
  while (reason === undefined && stored < 100_000) {
    const entry = { index: stored + 1, term: 1, kind: 'command', data: Buffer.alloc(2_000, 7) }
    const work = { entries: [entry], sync: true, after: [], vouches: { term: 1, index: entry.index, logTerm: 1 } }
    await Promise.race([new Promise(done => storage.append(1, work, () => done((stored += 1)))), storage.failed])
  }
  await storage.close()
  return { stored, reason }
}

/** A user that may read the directory and not write it. */
export async function asNobody(home) {
  const dir = join(mkdtempSync(join(tmpdir(), 'aaas-ha-ro-')), 'node')
  try {
    await (await open(dir, 'nobody')).close()
    spawnSync('chmod', ['-R', 'a+rX,a-w', join(dir, '..')])
    const root = process.getuid?.() === 0
    const identity = root ? { uid: 65_534, gid: 65_534 } : {}
    const { stdout, stderr } = spawnSync(process.execPath, [self, dir], { ...identity, encoding: 'utf8', cwd: '/' })
    const ok = stdout.startsWith('core.kernel.not-writable') && stdout.includes('verify true')
    return { said: stdout.trim(), wrong: ok ? [] : [`${stdout}${stderr}`] }
  } finally {
    chmodSync(join(dir, '..'), 0o755)
    spawnSync('chmod', ['-R', 'u+w', join(dir, '..')])
    rmSync(join(dir, '..'), { recursive: true, force: true })
    void home
  }
}

/** `kill -9` of a process that writes; what it told before must be there. */
export async function killRuns(home, count) {
  const dir = join(home, 'kills')
  const vouched = new Map()
  const wrong = []
  let works = 0
  for (let seed = 1; seed <= count; seed++) {
    const child = spawn(process.execPath, [role, dir, String(seed)], { stdio: ['ignore', 'pipe', 'inherit'] })
    let lines = 0
    let rest = ''
    child.stdout.setEncoding('utf8')
    child.stdout.on('data', text => {
      const parts = (rest + text).split('\n')
      rest = parts.pop()
      for (const part of parts) {
        const [group, index] = part.split(' ').map(Number)
        if (index !== undefined) vouched.set(group, Math.max(index, vouched.get(group) ?? 0))
      }
      lines += parts.length
      if (lines > 40 * seed) child.kill('SIGKILL')
    })
    await once(child, 'close')
    works += lines
    const storage = await open(dir, 'kill')
    for (const [group, index] of vouched) {
      const { entries, snapshot } = storage.recovered(group)
      const last = entries.at(-1)?.index ?? snapshot.index
      if (last < index) wrong.push(`group ${group}: ${last} of ${index}`)
      const other = entries.find(entry => !Buffer.from(entry.data).toString().startsWith(`${group}/${entry.index}/`))
      if (other !== undefined) wrong.push(`group ${group}: entry ${other.index} is another`)
    }
    await storage.close()
  }
  return { kills: count, works, wrong: wrong.slice(0, 5) }
}

if (process.argv[1] === self) {
  // The other user: says how the start ends, and what a look at the log says.
  const dir = process.argv[2]
  const said = await open(dir, 'nobody').then(
    () => 'opened',
    error => `${error.code} ${error.message}`,
  )
  const report = await walVerify(dir)
  console.log(`${said}; verify ${report.ok}`)
}
