import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connectBus, listenBus } from '@aaas/core-cloud/bus'
import { openHa } from '@aaas/core-cloud/ha'
import { silentLogger, sleep, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { test } from 'tap'
import { workContract } from './fixture/work-contract.js'

const clock = systemClock({ keepAlive: true })
const ids = systemIds()
const program = fileURLToPath(new URL('fixture/work-process.js', import.meta.url))

test('processes are killed, stand still and leave: no idempotent call fails', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'aaas-ha-'))
  const socketPath = join(folder, 'hub.sock')
  const authenticate = (token: string) => ({ name: token, kind: 'service', publish: ['>'], subscribe: ['>'] }) as const
  const hub = await listenBus({ socketPath, clock, logger: silentLogger, authenticate })
  const children = new Map<string, ChildProcess>()
  const start = async (name: string): Promise<void> => {
    const child = fork(program, [socketPath, name])
    children.set(name, child)
    await once(child, 'message')
  }
  const end = async (name: string, how: 'SIGKILL' | 'leave'): Promise<void> => {
    const child = children.get(name)!
    const gone = once(child, 'exit')
    if (how === 'leave') child.send('leave')
    else child.kill(how)
    await gone
  }
  t.teardown(async () => {
    for (const child of children.values()) child.kill('SIGKILL')
    await hub[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })
  await Promise.all(['a', 'b', 'c'].map(start))
  await using bus = await connectBus({ socketPath, token: 'caller', clock, ids, logger: silentLogger })
  await using ha = openHa({ clock, ids, bus })
  const { client } = ha.wrap(workContract, { mode: 'stateless' })

  const failures: unknown[] = []
  const slowest = { ms: 0 }
  const by = new Map<string, number>()
  const load = async (calls: number, atATime = 1): Promise<void> => {
    by.clear()
    const running: Promise<void>[] = []
    for (let n = 0; n < calls; n++) {
      const began = clock.monotonic()
      running.push(
        client.look({ n }, { deadline: clock.now() + 5_000 }).then(
          answer => {
            slowest.ms = Math.max(slowest.ms, clock.monotonic() - began)
            by.set(answer.by, (by.get(answer.by) ?? 0) + 1)
          },
          (error: unknown) => void failures.push(error),
        ),
      )
      // Fewer calls are under way at one instance than the budget may repeat.
      if (n % atATime === 0) await sleep(clock, 2)
    }
    await Promise.all(running)
  }
  const during = async (what: () => Promise<unknown>): Promise<void> => {
    const loading = load(300)
    await sleep(clock, 20)
    await what()
    await loading
    assert.deepEqual(failures, [])
  }

  // Many at a time, or one instance would do.
  await load(200, 40)
  assert.deepEqual([[...by.keys()].sort(), failures], [['a', 'b', 'c'], []])
  await during(() => end('a', 'SIGKILL'))
  await during(async () => children.get('b')!.kill('SIGSTOP'))
  children.get('b')!.kill('SIGCONT')
  await start('d')
  await during(() => end('c', 'leave'))
  await during(() => end('b', 'SIGKILL'))
  await load(100)
  assert.deepEqual([[...by.keys()], failures], [['d'], []])
  t.comment(`slowest call: ${Math.round(slowest.ms)} ms`)
})
