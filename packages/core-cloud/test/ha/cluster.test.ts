import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineContract } from '@aaas/core-cloud/contract'
import { type ClusterOptions, defineMachine, joinCluster, openHa } from '@aaas/core-cloud/ha'
import { systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { test } from 'tap'
import { Type } from 'typebox'

const clock = systemClock({ keepAlive: true })
const ids = systemIds()
const Count = Type.Object({ count: Type.Integer() })
const contract = defineContract({
  name: 'test.counter',
  version: '1.0.0',
  methods: {
    add: { summary: 'Adds one.', input: Type.Object({}), output: Count },
    read: { summary: 'Reads.', input: Type.Object({}), output: Count },
  },
})
const counter = defineMachine({
  contract,
  version: 1,
  initial: () => ({ count: 0 }),
  commands: { add: state => ({ count: ++state.count }) },
  queries: { read: ({ count }) => ({ count }) },
})

test('a single node needs nothing, and what it wrote to a disk is there after a restart', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'aaas-cluster-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const tokens: number[] = []
  for (let life = 1; life <= 3; life++) {
    await using cluster = await joinCluster({ cluster: 'test', dir, clock, ids })
    const member = await cluster.replicate(2, counter)
    const { client } = openHa({ clock, ids }).wrap(contract, { mode: 'replicated', definition: counter, member })
    assert.deepEqual(await client.add({}), { count: life })
    assert.deepEqual(await client.read({}), { count: life })
    const { coordination } = cluster
    const lease = await coordination.lock('job', { ttlMs: 1_000 })
    tokens.push(lease.token)
    await coordination.keys?.put(`life.${life}`, Buffer.from(String(life)))
    assert.equal((await coordination.keys?.list('life'))?.entries.length, life)
  }
  assert.deepEqual(
    tokens,
    [...new Set(tokens)].sort((a, b) => a - b),
  )
})

test('what cannot work is refused with the field, and nothing stays open', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'aaas-cluster-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const network = { clusterKey: 'a key of sixteen', listen: '127.0.0.1:0' }
  const refusals: readonly (readonly [Partial<ClusterOptions>, { readonly code: string; readonly field?: string }])[] =
    [
      [
        { voters: [1, 2], dir, network },
        { code: 'core.ha.no-quorum', field: 'voters' },
      ],
      [
        { voters: [1, 2, 3], dir },
        { code: 'core.ha.invalid-argument', field: 'network' },
      ],
      [
        { voters: [1, 2, 3], network },
        { code: 'core.ha.invalid-argument', field: 'dir' },
      ],
      [{ cluster: 'a b' }, { code: 'core.ha.invalid-argument', field: 'cluster' }],
      [{ voters: [] }, { code: 'core.ha.invalid-membership' }],
      [
        { dir, network: { ...network, clusterKey: 'short' } },
        { code: 'core.kernel.invalid-config', field: 'clusterKey' },
      ],
    ]
  for (const [options, error] of refusals)
    await assert.rejects(joinCluster({ cluster: 'test', clock, ids, ...options }), error, JSON.stringify(options))
  {
    await using first = await joinCluster({ cluster: 'test', dir: join(dir, 'one'), clock, ids })
    await assert.rejects(first.replicate(1, counter), { code: 'core.ha.invalid-argument', field: 'group' })
  }
  await assert.rejects(joinCluster({ cluster: 'other', dir: join(dir, 'one'), clock, ids }), {
    code: 'core.ha.wrong-cluster',
  })
})
