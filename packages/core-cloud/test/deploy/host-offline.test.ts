import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { eventually } from '@aaas/testing'
import { test } from 'tap'
import { live, TestPlatform } from './test-platform.js'

test('with control away the host starts from its last good copy, and restarts what crashes', async t => {
  await using platform = await TestPlatform.open()
  await platform.want(platform.site(await platform.publish('1.0.0'), { instances: 1 }))
  await platform.startHost()
  await platform.seen('live', live(1))
  t.equal((await stat(join(platform.home, 'host/desired.json'))).mode & 0o777, 0o600)
  await platform.stopHost()
  await platform.stopControl()
  const host = await platform.startHost()
  const ready = async (not?: string) => {
    const found = () => host.agent.instances().find(one => one.state === 'ready' && one.id !== not)
    await eventually('an instance is ready', () => found() !== undefined)
    return found() as NonNullable<ReturnType<typeof found>>
  }
  const first = await ready()
  t.equal((await platform.get('/')).body.instance, first.id)
  const releases = await readFile(join(platform.home, 'host/sites/shop/releases'), 'utf8')
  t.equal(releases, 'released\n', 'the release step is not run again')
  if (first.pid === undefined) throw new Error('no pid')
  process.kill(first.pid, 'SIGKILL')
  const second = await ready(first.id)
  t.equal((await platform.get('/')).body.instance, second.id)
  await platform.startControl()
  await platform.seen('control finds everything', live(1))
})
