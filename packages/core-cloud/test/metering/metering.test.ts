import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger, systemClock } from '@aaas/core-cloud/kernel'
import { ManualClock, seededIds, seededRandom } from '@aaas/testing'
import fc from 'fast-check'
import { test } from 'tap'
import {
  createMeter,
  openReadingSpool,
  processUsageReader,
  type Reading,
  UsageAccumulator,
} from '../../src/metering/index.js'

const names = ['cpuMs', 'requests', 'constructor'] as const

function reading(source: string, epoch: string, seq: number, counters: Record<string, number>): Reading {
  return { source, site: `site-${source}`, epoch, seq, at: 0, counters }
}

/** Readings of some sources and epochs, each with counters that only grow. */
const epochsArbitrary = fc.array(
  fc.record({
    source: fc.constantFrom('a', 'b'),
    epoch: fc.constantFrom('e1', 'e2', 'e3'),
    growths: fc.array(fc.record({ cpuMs: fc.nat(1_000), requests: fc.nat(50), constructor: fc.nat(5) }), {
      minLength: 1,
      maxLength: 8,
    }),
  }),
  { maxLength: 6 },
)

test('lost, repeated and reordered readings change nothing once the last of each epoch is there', async () => {
  fc.assert(
    fc.property(epochsArbitrary, fc.integer(), (epochs, seed) => {
      const random = seededRandom(seed)
      const unique = new Map(epochs.map(one => [`${one.source}/${one.epoch}`, one]))
      const sent: Reading[] = []
      const truth = new Map<string, Record<string, number>>()
      for (const { source, epoch, growths } of unique.values()) {
        const sums: Record<string, number> = { cpuMs: 0, requests: 0, constructor: 0 }
        growths.forEach((growth, index) => {
          for (const name of names) sums[name] = (sums[name] ?? 0) + growth[name]
          const isLast = index === growths.length - 1
          const copies = isLast ? 1 + Math.floor(random() * 3) : Math.floor(random() * 3)
          for (let copy = 0; copy < copies; copy++) sent.push(reading(source, epoch, index + 1, { ...sums }))
        })
        const total = truth.get(`site-${source}`) ?? { cpuMs: 0, requests: 0, constructor: 0 }
        for (const name of names) total[name] = (total[name] ?? 0) + (sums[name] ?? 0)
        truth.set(`site-${source}`, total)
      }
      sent.sort(() => random() - 0.5)
      const accumulator = new UsageAccumulator()
      const booked = new Map<string, number>()
      for (const one of sent) {
        // A restart of the one who adds up, in the middle of it all.
        if (random() < 0.1) accumulator.restore(JSON.parse(JSON.stringify(accumulator.epochs())) as never)
        for (const [name, growth] of Object.entries(accumulator.add(one))) {
          const key = `${one.site}/${name}`
          booked.set(key, (booked.get(key) ?? 0) + growth)
        }
      }
      const totals = accumulator.totals()
      for (const [site, expected] of truth) {
        for (const name of names) {
          const total = Object.hasOwn(totals.get(site) ?? {}, name) ? (totals.get(site)?.[name] ?? 0) : 0
          if (total !== expected[name]) throw new Error(`${site} ${name}: ${total} for ${expected[name]}`)
          if ((booked.get(`${site}/${name}`) ?? 0) !== expected[name])
            throw new Error(`${site} ${name}: booked something else`)
        }
      }
    }),
  )
})

test('a closed epoch is forgotten', async t => {
  const accumulator = new UsageAccumulator()
  t.same(accumulator.add(reading('a', 'e', 1, { cpuMs: 5 })), { cpuMs: 5 })
  t.same(accumulator.add(reading('a', 'e', 1, { cpuMs: 5 })), {})
  accumulator.close('a', 'e')
  t.same(accumulator.epochs(), [])
})

async function spoolOf(send: (readings: Reading[]) => Promise<void>, path?: string) {
  const file = path ?? join(await mkdtemp(join(tmpdir(), 'aaas-spool-')), 'readings.json')
  return { path: file, spool: await openReadingSpool({ path: file, send, logger: silentLogger }) }
}

test('what could not be sent is on disk, and is sent by the next process', async t => {
  const away = async (): Promise<void> => {
    throw new Error('control is away')
  }
  const { path, spool } = await spoolOf(away)
  spool.put(reading('a', 'e', 1, { cpuMs: 1 }))
  spool.put(reading('a', 'e', 2, { cpuMs: 2 }))
  spool.put(reading('b', 'e', 1, { cpuMs: 7 }))
  spool.put(reading('a', 'e', 1, { cpuMs: 1 }))
  t.equal(spool.unsent, 2, 'the newest of an epoch stands for all of it')
  t.equal(await spool.flush(), false)
  t.equal(JSON.parse(await readFile(path, 'utf8')).length, 2)
  const sent: Reading[] = []
  const next = await spoolOf(async readings => void sent.push(...readings), path)
  t.equal(await next.spool.flush(), true)
  t.same(
    sent.map(one => [one.source, one.seq]),
    [
      ['a', 2],
      ['b', 1],
    ],
  )
  t.same(JSON.parse(await readFile(path, 'utf8')), [])
})

test('a damaged file of readings is put aside', async t => {
  const path = join(await mkdtemp(join(tmpdir(), 'aaas-spool-')), 'readings.json')
  await writeFile(path, '[{"source":')
  const { spool } = await spoolOf(async () => undefined, path)
  t.equal(spool.unsent, 0)
  t.equal(await readFile(`${path}.damaged`, 'utf8'), '[{"source":')
})

test('the meter adds up, samples in time and counts the last traffic of what has gone', async t => {
  const clock = new ManualClock()
  const sent: Reading[] = []
  const { spool } = await spoolOf(async readings => void sent.push(...readings))
  let usage: { cpuMs: number; memoryKib: number } | undefined = { cpuMs: 100, memoryKib: 1_000 }
  let requests = 3
  const meter = createMeter({
    clock,
    ids: seededIds(),
    spool,
    usageOf: () => usage,
    trafficOf: () => ({ requests, requestBytes: requests * 10, responseBytes: requests * 100 }),
  })
  meter.open({ site: 'shop', instance: 'i1', pid: 1 })
  await clock.pass(10_000)
  usage = { cpuMs: 90, memoryKib: 2_000 }
  await clock.pass(10_000)
  requests = 5
  usage = undefined
  await clock.pass(4_000)
  meter.close('i1')
  await meter[Symbol.asyncDispose]()
  const last = sent.at(-1)
  t.equal(last?.seq, 3)
  t.same(last?.counters, {
    cpuMs: 100,
    memoryKibSeconds: 1_000 * 10 + 2_000 * 4,
    requests: 5,
    requestBytes: 50,
    responseBytes: 500,
  })
  t.equal(new Set(sent.map(one => one.epoch)).size, 1)
  t.equal(meter.latest('i1'), undefined)
})

test('the kernel is asked for a process and its children', async t => {
  const work = 'let n = 0; const end = process.cpuUsage().user + 2e5; while (process.cpuUsage().user < end) n++;'
  const source = `const { spawn } = require('child_process')
    const child = spawn(process.execPath, ['-e', ${JSON.stringify(`${work} process.send('x'); setInterval(() => {}, 1e6)`)}], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    child.on('message', () => console.log(child.pid))
    process.stdin.on('end', () => { child.kill(); process.exit() }).resume()`
  const parent = spawn(process.execPath, ['-e', source], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(() => parent.stdin.end())
  const [line] = (await once(parent.stdout, 'data')) as [Buffer]
  const read = processUsageReader({ clock: systemClock() })
  const both = read(parent.pid ?? 0)
  const child = read(Number(line.toString()))
  t.ok((child?.cpuMs ?? 0) >= 200, `${child?.cpuMs} ms`)
  t.ok((both?.cpuMs ?? 0) >= (child?.cpuMs ?? 0))
  t.ok((both?.memoryKib ?? 0) > (child?.memoryKib ?? 0) && (child?.memoryKib ?? 0) > 20_000)
  t.equal(read(2 ** 22 + 1), undefined)
})
