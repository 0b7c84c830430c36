import { mkdtemp, open, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { joinCluster } from '@aaas/core-cloud/ha'
import { systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { test } from 'tap'
import { aaas, errorOf } from './aaas-process.js'

test('the log of a node is read to its end; damage is named with exit code 1', async t => {
  const dir = await mkdtemp(join(tmpdir(), 'aaas-wal-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const env = { AAAS_HOME: join(dir, 'home') }
  const node = join(dir, 'node')
  const cluster = await joinCluster({
    cluster: 'tea',
    dir: node,
    clock: systemClock({ keepAlive: true }),
    ids: systemIds(),
  })
  await cluster.coordination.keys?.put('price', Buffer.alloc(20_000, 'x'))
  await cluster[Symbol.asyncDispose]()

  const good = await aaas(env, 'wal', 'verify', node, '--json')
  t.equal(good.code, 0, good.error)
  t.match(JSON.parse(good.out), { ok: true, cluster: 'tea', node: 1, closed: true, groups: [{ group: 1, vote: 1 }] })
  t.match((await aaas(env, 'wal', 'verify', node)).out, /^node 1 of tea: \d+ records, .* stopped in order\ngroup 1: /)

  const [segment = ''] = (await readdir(join(node, 'log'))).filter(name => name.endsWith('.wal'))
  const file = await open(join(node, 'log', segment), 'r+')
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, 10_000)
  await file.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, 10_000)
  await file.close()
  const bad = await aaas(env, 'wal', 'verify', node, '--json')
  t.equal(bad.code, 1)
  t.match(JSON.parse(bad.out), { ok: false, problem: { code: 'core.ha.corrupt' } })
  t.match((await aaas(env, 'wal', 'verify', node)).out, /^DAMAGED: .*\.wal/)

  const none = await aaas(env, 'wal', 'verify', join(dir, 'none'), '--json')
  t.equal(none.code, 2)
  t.match(errorOf(none), { code: 'core.kernel.invalid-config', field: 'dir' })
})
