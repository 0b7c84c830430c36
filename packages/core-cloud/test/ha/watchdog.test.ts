import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'

const holder = fileURLToPath(new URL('fixture/blocked-holder.js', import.meta.url))

async function run(how: string): Promise<{ readonly out: string; readonly err: string; readonly ended: unknown }> {
  const child = spawn(process.execPath, [holder, how])
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString()
  })
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  return { out, err, ended: signal ?? code }
}

test('a process that is blocked when its lease runs out is killed before it can go on', async () => {
  const { out, err, ended } = await run('block')
  assert.equal(ended, 'SIGKILL')
  assert.equal(out, 'held\n')
  assert.match(err, /watchdog/)
})

test('one that hears of the end lives on', async () => {
  assert.deepEqual(await run('lose'), { out: 'held\ntold after less than the lifetime\n', err: '', ended: 0 })
})
