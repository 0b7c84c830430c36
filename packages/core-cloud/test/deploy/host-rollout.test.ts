import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { live, TestPlatform } from './test-platform.js'

test('a roll-out under load loses no request, and one that never gets healthy is reverted', async t => {
  await using platform = await TestPlatform.open()
  const [v1, v2, v3] = [
    await platform.publish('1.0.0'),
    await platform.publish('1.0.1'),
    await platform.publish('1.0.2'),
  ]
  await platform.want(platform.site(v1))
  await platform.startHost()
  await platform.seen('live', live(1))
  const statuses = new Map<number, number>()
  let stop = false
  const client = async (): Promise<void> => {
    for (let count = 0; !stop; count++) {
      const { status } = await platform.get(count % 10 === 0 ? '/?slow=100' : '/')
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
  }
  const clients = Promise.all([client(), client()])
  await platform.want(platform.site(v2, { version: 2, generation: 2 }))
  const second = await platform.seen('version 2 live', live(2))
  t.equal(second.servingVersion, 2)
  await platform.want(
    platform.site(v3, { version: 3, generation: 3, config: { mode: 'never-healthy' }, healthyDeadlineMs: 1_500 }),
  )
  const failed = await platform.seen('version 3 given up', site => site.phase === 'failed')
  t.match(failed.failure, { version: 3, step: 'health' })
  t.equal(failed.servingVersion, 2)
  stop = true
  await clients
  t.same([...statuses.keys()], [200], `${statuses.get(200)} requests`)
  t.equal((await platform.get('/')).body.version, 2)
  const releases = await readFile(join(platform.home, 'host/sites/shop/releases'), 'utf8')
  t.equal(releases.split('\n').length - 1, 3, 'one release step a version')
})
