import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { startReplicatedPostgres } from '@aaas/support-cloud/rdbms'
import { test } from 'tap'
import { serverHome, sql } from './server-fixture.js'

async function owner(home: string): Promise<{ readonly child: ChildProcess; readonly url: string }> {
  const script = fileURLToPath(new URL('./replica-owner.js', import.meta.url))
  const child = spawn(process.execPath, [script, join(home, 'nodes'), join(home, 'run')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  return { child, ...(JSON.parse(line) as { url: string }) }
}

test('an owner that is killed leaves nothing in the way; a primary whose data is gone is replaced at the start', async t => {
  await using home = await serverHome('aaas-rep-')
  const first = await owner(home.path)
  await sql(first.url, 'create table kept as select 42 as answer')
  const exit = once(first.child, 'exit')
  first.child.kill('SIGKILL')
  await exit
  const options = {
    ...{ dataDir: join(home.path, 'nodes'), socketDir: join(home.path, 'run') },
    ...{ clock: systemClock({ keepAlive: true }), ids: systemIds(), logger: silentLogger, startTimeoutMs: 60_000 },
  }
  {
    await using again = await startReplicatedPostgres(options)
    t.match(again.status(), { primary: 'a', term: 1 })
    t.same(await sql(again.url, 'select answer from kept'), [{ answer: 42 }])
    await again.inSync()
  }
  // What a broken disk leaves.
  await rm(join(options.dataDir, 'a', 'global'), { recursive: true })
  await using last = await startReplicatedPostgres(options)
  t.match(last.status(), { primary: 'b', term: 2, failOvers: 1 })
  t.same(await sql(last.url, 'select answer from kept'), [{ answer: 42 }])
})

test('when the data of the only node that has everything is gone, no empty one takes its place', async t => {
  await using home = await serverHome('aaas-rep-')
  const options = {
    ...{ dataDir: join(home.path, 'nodes'), socketDir: join(home.path, 'run') },
    ...{ clock: systemClock({ keepAlive: true }), ids: systemIds(), logger: silentLogger },
  }
  await mkdir(options.dataDir, { recursive: true })
  const state = { format: 1, primary: 'a', term: 7, inSync: false }
  await writeFile(join(options.dataDir, 'nodes.json'), JSON.stringify(state))
  await t.rejects(startReplicatedPostgres(options), { code: 'support.rdbms.start-failed' })
  // Not even when the standby is said to have everything, and is gone as well.
  await writeFile(join(options.dataDir, 'nodes.json'), JSON.stringify({ ...state, inSync: true }))
  await t.rejects(startReplicatedPostgres(options), { code: 'support.rdbms.not-in-sync' })
  await writeFile(join(options.dataDir, 'nodes.json'), '{')
  await t.rejects(startReplicatedPostgres(options), { code: 'core.kernel.invalid-config', field: 'dataDir' })
})
