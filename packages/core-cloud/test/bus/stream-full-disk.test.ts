import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@aaas/core-cloud/kernel'
import { test } from 'tap'
import { openStreams } from '../../src/bus/index.js'
import { until } from './fixture/until.js'

test('a real disk that is full, and has room again', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'aaas-full-'))
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', dir]).status === 0
  t.teardown(() => {
    if (mounted) spawnSync('umount', ['-l', dir])
    rmSync(dir, { recursive: true, force: true })
  })
  if (!mounted) {
    t.comment('no right to mount a small disk here: the test with injected failures stands for it')
    return
  }
  const clock = systemClock({ keepAlive: true })
  writeFileSync(`${dir}/ballast`, Buffer.alloc(1_000_000))
  const acknowledged: number[] = []
  for (let round = 0; round < 2; round++) {
    const streams = await openStreams({ dir: `${dir}/streams`, clock, limits: { segmentBytes: 65_536 } })
    await streams.ensure({
      name: 's',
      subjects: ['s'],
      durability: 'relaxed',
      ...(round === 0 ? {} : { maxMessages: 40 }),
    })
    let seen = 0
    await streams.consume('s', { name: 'c' }, () => void seen++)
    let refused = 0
    for (let index = 0; refused < 5 && index < 500; index++) {
      const outcomes = await Promise.allSettled(
        [0, 1, 2].map(part => streams.publish('s', Buffer.alloc(4_000, index * 3 + part))),
      )
      for (const outcome of outcomes) {
        if (outcome.status === 'fulfilled') acknowledged.push(outcome.value.sequence)
        else {
          refused += 1
          t.match(outcome.reason, { code: 'core.bus.stream-full', retryable: true })
        }
      }
    }
    t.equal(refused >= 5, round === 0, 'refused only while there is no room')
    t.ok((await streams.get('s', { sequence: acknowledged.length })) !== undefined)
    if (round === 0) {
      unlinkSync(`${dir}/ballast`)
      acknowledged.push((await streams.publish('s', Buffer.alloc(4_000))).sequence)
      await streams.purge('s', { below: acknowledged.length - 100 })
    }
    await until(() => seen > 0)
    await streams.drain()
    await streams[Symbol.asyncDispose]()
    if (round === 0) {
      const again = await openStreams({ dir: `${dir}/streams`, clock })
      t.equal((await again.info('s')).lastSequence, acknowledged.length)
      t.ok((await again.consumerInfo('s', 'c')).settledSequence > 0)
      // Room for the second round.
      await again.purge('s')
      await again.ensure({ name: 's', subjects: ['s'], durability: 'relaxed', maxMessages: 40 })
      await again[Symbol.asyncDispose]()
    }
  }
  t.same(
    acknowledged,
    Array.from({ length: acknowledged.length }, (_, index) => index + 1),
  )
})
