import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { eventually } from '@aaas/testing'
import { test } from 'tap'
import { type FromHost, hostMainModule, type ToHost } from '../../src/deploy/index.js'
import { live, TestPlatform } from './test-platform.js'

function forkHost(platform: TestPlatform, edgePort = 0): ChildProcess {
  const child = fork(hostMainModule, [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const options = {
    home: platform.home,
    hostId: 'h1',
    controlSocket: platform.controlSocket,
    controlToken: 'secret',
    edgePort,
  }
  child.send({ type: 'start', options } satisfies ToHost)
  return child
}

async function started(child: ChildProcess): Promise<FromHost> {
  const [message] = (await once(child, 'message')) as [FromHost]
  return message
}

test('a host process ends cleanly when asked, when its launcher goes, and leaves nothing when killed', async t => {
  await using platform = await TestPlatform.open()
  await platform.want(platform.site(await platform.publish('1.0.0'), { instances: 1 }))
  const ends: [string, (child: ChildProcess) => void, number | null][] = [
    ['SIGTERM', child => child.kill('SIGTERM'), 0],
    ['the channel closes', child => child.disconnect(), 0],
    ['kill -9', child => child.kill('SIGKILL'), null],
  ]
  let former = ''
  for (const [name, end, code] of ends) {
    const child = forkHost(platform)
    t.match(await started(child), { type: 'started' }, `${name}: starts`)
    const site = await platform.seen('live', one => live(1)(one) && one.instances[0]?.id !== former)
    const { pid = 0, id } = site.instances[0] ?? {}
    former = id ?? ''
    t.ok(existsSync(`/proc/${pid}`))
    const exited = once(child, 'exit')
    end(child)
    t.equal((await exited)[0], code, `${name}: code`)
    await eventually('the instance has gone', () => !existsSync(`/proc/${pid}`))
    const left = await readdir(join(platform.home, 'run'))
    if (code === 0) t.same(left, ['control.sock'], `${name}: no socket is left`)
  }
  const last = forkHost(platform)
  t.match(await started(last), { type: 'started' }, 'starts where one was killed')
  await platform.seen('live', one => live(1)(one) && one.instances[0]?.id !== former)
  const sockets = (await readdir(join(platform.home, 'run'))).sort()
  t.equal(sockets.length, 4, `only those in use: ${sockets.join(' ')}`)
  last.kill('SIGTERM')
  await once(last, 'exit')
})

test('a port that is taken is named, and nothing stays behind', async t => {
  await using platform = await TestPlatform.open()
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const address = server.address()
  const child = forkHost(platform, typeof address === 'object' ? (address?.port ?? 0) : 0)
  const exited = once(child, 'exit')
  t.match(await started(child), { type: 'failed', error: { code: 'core.deploy.port-in-use' } })
  t.equal((await exited)[0], 1)
  t.same(await readdir(join(platform.home, 'run')), ['control.sock'])
})
