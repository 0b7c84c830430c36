import assert from 'node:assert/strict'
import { openStreams } from '@aaas/core-cloud/bus'
import { silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { ManualClock, startNats } from '@aaas/testing'
import { test } from 'tap'
import { natsStreams } from '../../src/bus/nats/nats-bus.js'
import type { Coordination } from '../../src/ha/coordination.js'
import { coordinationSuite } from '../../src/ha/coordination-suite.js'
import { natsKvCoordination } from '../../src/ha/nats-kv/nats-kv.js'
import { engine, features, fixtureOn, overNats } from './coordination/nats-fixture.js'

test('in a bucket of this process', async t => {
  coordinationSuite(
    (name, fn) => t.test(name, { timeout: 20_000 }, fn),
    async () => {
      const clock = new ManualClock()
      const streams = await openStreams({ clock })
      return await fixtureOn(
        async () => streams,
        clock,
        ms => clock.pass(ms),
        'relaxed',
      )
    },
    features,
  )
})

overNats(1)

test('a holder outlives a restart of its server, and the next token is higher', {
  skip: 'skip' in engine ? engine.skip : false,
}, async t => {
  const servers = await startNats({ program: 'path' in engine ? engine.path : '' })
  t.teardown(() => servers[Symbol.asyncDispose]())
  const clock = systemClock({ keepAlive: true })
  const open = async (node: string): Promise<Coordination> => {
    const streams = await natsStreams({ servers: servers.urls, clock, ids: systemIds(), logger: silentLogger })
    t.teardown(() => streams[Symbol.asyncDispose]())
    return await natsKvCoordination({ clock, ids: systemIds(), node, streams, durability: 'relaxed' })
  }
  const [a, b] = [await open('a'), await open('b')]
  const lease = await a.lock('job', { ttlMs: 6_000 })
  const waiting = b.lock('job', { ttlMs: 6_000 })
  await servers.nodes[0]?.kill()
  await servers.nodes[0]?.start()
  // Whoever waits gets it when it is given up, and not because nobody could be asked for a while.
  while ((await b.holder('job').catch(() => undefined)) === undefined) lease.assertHeld()
  lease.assertHeld()
  assert.equal(lease.signal.aborted, false)
  await lease.release()
  const next = await waiting
  assert.ok(next.token > lease.token)
  await next.release()
})
