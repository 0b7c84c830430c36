import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CloudError } from '@aaas/core-cloud/kernel'
import { test } from 'tap'
import { keptSecret, platformHome, prepareHome } from '../../src/cli/platform-home.js'
import { takePlatformLock } from '../../src/cli/platform-lock.js'

function inTemp(work: (dir: string) => void): void {
  const dir = mkdtempSync(join(tmpdir(), 'aaas-t-'))
  try {
    work(dir)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

test('a data directory of a newer version is refused and left as it is', async t => {
  inTemp(dir => {
    const home = platformHome({ AAAS_HOME: dir })
    writeFileSync(join(dir, 'data-version'), '99\n')
    t.throws(() => prepareHome(home), { code: 'core.kernel.data-too-new', field: 'AAAS_HOME' })
    t.equal(readFileSync(join(dir, 'data-version'), 'utf8'), '99\n')
    t.throws(() => statSync(home.secretsDir), { code: 'ENOENT' })
  })
})

test('a place that cannot be written is refused', async t => {
  inTemp(dir => {
    writeFileSync(join(dir, 'file'), '')
    t.throws(() => prepareHome(platformHome({ AAAS_HOME: join(dir, 'file', 'home') })), {
      code: 'core.kernel.not-writable',
    })
  })
})

test('secrets are made once, for the owner only', async t => {
  inTemp(dir => {
    const home = platformHome({ AAAS_HOME: dir })
    prepareHome(home)
    const first = keptSecret(home.tokenFile, () => 'one')
    t.equal(first, 'one')
    t.equal(
      keptSecret(home.tokenFile, () => 'two'),
      'one',
    )
    t.equal(statSync(home.tokenFile).mode & 0o777, 0o600)
    t.equal(statSync(home.secretsDir).mode & 0o777, 0o700)
  })
})

test('a long data directory keeps its sockets below the temporary folder', async t => {
  const home = platformHome({ AAAS_HOME: `/srv/${'a'.repeat(120)}` })
  t.ok(Buffer.byteLength(join(home.runDir, 'i-0123456789012345678901234567890123456789.sock')) < 107)
  t.not(home.runDir, platformHome({ AAAS_HOME: `/srv/${'b'.repeat(120)}` }).runDir)
})

test('the lock is held by a living process only', async t => {
  inTemp(dir => {
    const file = join(dir, 'lock')
    const release = takePlatformLock(file, process.pid, 0)
    t.throws(() => takePlatformLock(file, process.ppid, 0), { code: 'core.deploy.already-running' })
    release()
    t.doesNotThrow(() => takePlatformLock(file, process.pid, 0)())
    // The process id of a dead holder may be in use again: the start time tells them apart.
    writeFileSync(file, JSON.stringify({ pid: process.ppid, started: '1' }))
    t.doesNotThrow(() => takePlatformLock(file, process.pid, 0))
    writeFileSync(file, 'half a lock')
    t.doesNotThrow(() => takePlatformLock(file, process.pid, 0))
    t.ok(CloudError)
  })
})
