import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CloudError, silentLogger } from '@aaas/core-cloud/kernel'
import { createMetricsStore, LatencyHistogram } from '@aaas/core-cloud/monitor'
import { ManualClock, seededIds } from '@aaas/testing'
import { test } from 'tap'
import type { PackageRef } from '../../src/cloudware/manifest.js'
import { createAdmissions } from '../../src/deploy/admissions.js'
import { LatestWriter } from '../../src/deploy/atomic-file.js'
import { startEdgeSampler } from '../../src/deploy/edge-sampler.js'
import { openHostMemory } from '../../src/deploy/host-memory.js'
import { LineSplitter } from '../../src/deploy/line-splitter.js'
import { loadProgram } from '../../src/deploy/load-program.js'
import { createPackageCache } from '../../src/deploy/package-cache.js'
import { desiredSite } from './simulated-site.js'

const newDir = () => mkdtemp(join(tmpdir(), 'aaas-parts-'))

test('lines are cut where they end, whatever the chunks', async t => {
  const text = 'first\r\n\nzweite Zeile: 中文\nlast'
  const bytes = Buffer.from(text)
  for (let size = 1; size <= bytes.length; size++) {
    const lines: string[] = []
    const splitter = new LineSplitter(line => lines.push(line))
    for (let at = 0; at < bytes.length; at += size) splitter.push(bytes.subarray(at, at + size))
    splitter.end()
    t.same(lines, ['first', 'zweite Zeile: 中文', 'last'])
  }
  const lines: string[] = []
  new LineSplitter(line => lines.push(line)).push(Buffer.from('x'.repeat(200_000)))
  t.ok(lines.length >= 3 && lines.every(line => line.length <= 65_536), 'no line without end')
})

test('of many texts the newest is written last, one at a time', async t => {
  const written: string[] = []
  let running = 0
  const writer = new LatestWriter(async text => {
    running += 1
    t.equal(running, 1)
    await new Promise(resolve => setImmediate(resolve))
    written.push(text)
    running -= 1
  })
  for (const text of ['1', '2', '3']) writer.put(text)
  await Promise.resolve()
  writer.put('4')
  writer.put('5')
  await writer.settled()
  t.same(written, ['3', '5'])
})

const digest = 'a'.repeat(128)
const ref: PackageRef = { name: 'sample', version: '1.0.0', digest }
const packageJson = { name: 'sample', version: '1.0.0', aaas: { kind: 'site', engine: '*', entry: 'main.js' } }

async function cacheOf(change: { total?: number; actual?: Partial<PackageRef>; verify?: () => never } = {}) {
  const dir = join(await newDir(), 'packages')
  const calls = { chunks: 0, unpacked: 0 }
  const bytes = Buffer.from('0123456789')
  const cache = createPackageCache({
    dir,
    maxBytes: 100,
    readChunk: async ({ offset }) => {
      calls.chunks += 1
      return {
        base64: bytes.subarray(offset, offset + 4).toString('base64'),
        total: change.total ?? 10,
        signature: 's',
      }
    },
    verify: tarball => {
      change.verify?.()
      if (Buffer.from(tarball).toString() !== '0123456789') throw new Error('not what was sent')
      return { ref: { ...ref, ...change.actual } }
    },
    unpack: async (_, target) => {
      calls.unpacked += 1
      await mkdir(target)
      await writeFile(join(target, 'package.json'), JSON.stringify(packageJson))
    },
  })
  return { cache, calls, dir }
}

test('a package is fetched in chunks, once, and found on disk by the next host', async t => {
  const { cache, calls, dir } = await cacheOf()
  await Promise.all([cache.fetch(ref), cache.fetch(ref)])
  await cache.fetch(ref)
  t.same(calls, { chunks: 3, unpacked: 1 })
  t.equal(cache.get(digest).dir, join(dir, digest))
  t.equal(cache.get(digest).packageJson.aaas.entry, 'main.js')
  await mkdir(join(dir, 'node_modules'))
  await cache.prune(new Set([digest]))
  t.same((await readdir(dir)).sort(), [digest, 'node_modules'])
  await cache.prune(new Set())
  t.same(await readdir(dir), ['node_modules'])
  t.throws(() => cache.get(digest))
})

test('a package that is not what was asked for, or not trusted, or too large, is not unpacked', async t => {
  const wrong = await cacheOf({ actual: { version: '2.0.0' } })
  await t.rejects(wrong.cache.fetch(ref), { code: 'core.cloudware.bad-signature' })
  const untrusted = await cacheOf({
    verify: () => {
      throw new CloudError('core.cloudware.bad-signature', 'no')
    },
  })
  await t.rejects(untrusted.cache.fetch(ref), { code: 'core.cloudware.bad-signature' })
  const large = await cacheOf({ total: 101 })
  await t.rejects(large.cache.fetch(ref), { code: 'core.cloudware.invalid-package' })
  await t.rejects(large.cache.fetch({ ...ref, digest: '../../etc' }), { code: 'core.cloudware.invalid-package' })
  for (const { calls } of [wrong, untrusted, large]) t.equal(calls.unpacked, 0)
})

test('a store that sends less than it says does not keep the host waiting for ever', async t => {
  const { cache } = await cacheOf({ total: 11 })
  await t.rejects(cache.fetch(ref), { code: 'core.contract.invalid-output', retryable: true })
})

test('the host remembers, and refuses files it cannot understand', async t => {
  const dir = await newDir()
  const memory = await openHostMemory({ dir, logger: silentLogger })
  t.equal(memory.desired, undefined)
  const site = desiredSite({ version: 1, generation: 1, package: ref })
  memory.saveDesired({ generation: 3, sites: [site], trust: {} })
  memory.saveSites(new Map([['shop', { good: site, released: ['x'] }]]))
  await memory.settled()
  const again = await openHostMemory({ dir, logger: silentLogger })
  t.same(again.desired?.sites, [site])
  t.same(again.sites.get('shop')?.good, site)
  for (const text of ['{"generation":', '{"generation":"three"}']) {
    await writeFile(join(dir, 'desired.json'), text)
    await t.rejects(openHostMemory({ dir, logger: silentLogger }), { code: 'core.kernel.invalid-config' })
    t.equal(await readFile(join(dir, 'desired.json'), 'utf8'), text, 'and leaves them')
  }
})

test('an instance is known by its token until it ends', async t => {
  const admissions = createAdmissions(seededIds())
  const token = admissions.admit('i1', desiredSite({ version: 1, generation: 1 }))
  t.same(admissions.authenticate(token), {
    name: 'shop',
    kind: 'site',
    publish: ['service.>', 'aaas.peers.>'],
    subscribe: ['site.shop.>', 'aaas.peers.>'],
  })
  const service = admissions.admit('i2', desiredSite({ version: 1, generation: 1, site: 'payment', kind: 'service' }))
  t.same(admissions.authenticate(service)?.publish, ['service.>', 'site.>', 'aaas.peers.>'])
  t.equal(admissions.authenticate(`${token}x`), undefined)
  admissions.revoke('i1')
  t.equal(admissions.authenticate(token), undefined)
  t.equal(admissions.siteOf('i2'), 'payment')
})

test('the sums of the edge become increments by second', async t => {
  const clock = new ManualClock(1_000_000)
  const metrics = createMetricsStore({ clock })
  const latency = new LatencyHistogram()
  const counters = { requests: 0, failures: 0, retried: 0, rejected: 0, bytesIn: 0, bytesOut: 0, latency }
  let upstreams: Record<string, typeof counters> = { i1: counters }
  const site = { ...counters }
  using _ = startEdgeSampler({
    edge: { metrics: () => ({ sites: { shop: site }, upstreams }) },
    metrics,
    siteOf: () => 'shop',
    clock,
  })
  await clock.pass(1_000)
  t.same(metrics.series(), [], 'nothing happened, nothing is kept')
  counters.requests = 3
  latency.record(10)
  site.rejected = 2
  await clock.pass(1_000)
  counters.requests = 4
  latency.record(20)
  await clock.pass(1_000)
  upstreams = {}
  await clock.pass(1_000)
  upstreams = { i1: { ...counters, requests: 1 } }
  await clock.pass(1_000)
  const series = metrics.series()
  t.same(
    series.map(one => [one.instance, one.points.map(point => point.counters)]),
    [
      ['edge', [{ rejected: 2 }]],
      ['i1', [{ requests: 3 }, { requests: 1 }, { requests: 1 }]],
    ],
  )
  t.equal(series[1]?.points[1]?.latency?.count, 1)
})

test('an entry outside of the package, without a program, or that throws is refused', async t => {
  const dir = await newDir()
  await writeFile(join(dir, 'none.mjs'), 'export const x = 1')
  await writeFile(join(dir, 'bad.mjs'), 'throw new Error("broken")')
  for (const entry of ['../x.mjs', 'missing.mjs', 'none.mjs', 'bad.mjs']) {
    await t.rejects(loadProgram(dir, entry), { code: 'core.cloudware.invalid-package' })
  }
})
