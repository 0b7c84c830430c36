import { appendFile, mkdir, mkdtemp, readdir, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ManualClock } from '@aaas/testing'
import { test } from 'tap'
import { fileLogStore, memoryLogStore } from '../../src/monitor/index.js'
import { logStoreSuite } from '../../src/monitor/log-store-suite.js'

const newDir = () => mkdtemp(join(tmpdir(), 'aaas-logs-'))

logStoreSuite(test, async () => {
  const clock = new ManualClock()
  return { store: memoryLogStore({ clock }), now: () => clock.now() }
})

logStoreSuite(test, async () => {
  const clock = new ManualClock()
  return { store: fileLogStore({ dir: await newDir(), clock }), now: () => clock.now() }
})

test('lines are written after a moment, and found by the next store', async t => {
  const clock = new ManualClock()
  const dir = await newDir()
  const store = fileLogStore({ dir, clock })
  store.append('shop', 'a', 'first')
  t.same(await readdir(dir), [], 'not at once')
  await clock.pass(500)
  await store.search({ site: 'shop', limit: 1 })
  store.append('shop', 'a', 'second')
  await store[Symbol.asyncDispose]()
  const again = fileLogStore({ dir, clock })
  t.same(
    (await again.search({ site: 'shop', limit: 9 })).records.map(record => record.message),
    ['second', 'first'],
  )
  t.equal((await stat(join(dir, 'shop/a.jsonl'))).mode & 0o777, 0o600)
})

test('an instance keeps the newest lines within its files', async t => {
  const clock = new ManualClock()
  const dir = await newDir()
  await using store = fileLogStore({ dir, clock, maxFileBytes: 1_000, filesPerInstance: 3 })
  for (let at = 1; at <= 100; at++) {
    store.append('shop', 'a', JSON.stringify({ at, level: 'info', message: 'x'.repeat(100) }))
    // A search writes what waits.
    await store.search({ site: 'shop', limit: 1 })
  }
  t.same((await readdir(join(dir, 'shop'))).sort(), ['a.1.jsonl', 'a.2.jsonl', 'a.jsonl'])
  const { records } = await store.search({ site: 'shop', limit: 1_000 })
  t.same(
    records.map(record => record.at),
    Array.from({ length: records.length }, (_, index) => 100 - index),
    'no gap',
  )
  t.ok(records.length >= 14 && records.length <= 24, `${records.length} lines`)
})

test('dead instances of a site share a limit; the living are left alone', async t => {
  const clock = new ManualClock()
  const dir = await newDir()
  await using store = fileLogStore({ dir, clock, maxDeadBytes: 2_500 })
  store.append('shop', 'living', 'y'.repeat(5_000))
  await store.search({ site: 'shop', limit: 1 })
  for (const instance of ['d1', 'd2', 'd3', 'd4']) {
    store.append('shop', instance, 'x'.repeat(1_000))
    await store.close('shop', instance)
  }
  const names = await readdir(join(dir, 'shop'))
  t.equal(names.length, 3, names.join(' '))
  t.ok(names.includes('living.jsonl') && names.includes('d4.jsonl'))
})

test('a search reads at most so much, and says when that was not all', async t => {
  const clock = new ManualClock()
  await using store = fileLogStore({ dir: await newDir(), clock, maxSearchBytes: 128 * 1024 })
  for (let count = 0; count < 100; count++) store.append('shop', 'a', `${count} ${'x'.repeat(10_000)}`)
  const page = await store.search({ site: 'shop', text: 'nowhere', limit: 10 })
  t.same(page, { records: [], complete: false })
  t.equal((await store.search({ site: 'shop', text: '99 ', limit: 1 })).complete, true)
})

test('a write cut short and bytes that are no text harm one line only', async t => {
  const dir = await newDir()
  await mkdir(join(dir, 'shop'))
  await writeFile(join(dir, 'shop/a.jsonl'), '{"at":1,"level":"info","message":"whole"}\n{"at":2,"lev')
  await appendFile(join(dir, 'shop/a.jsonl'), Buffer.from([0xff, 0xfe, 0x0a]))
  await using store = fileLogStore({ dir, clock: new ManualClock() })
  const { records } = await store.search({ site: 'shop', limit: 10 })
  t.equal(records.length, 2)
  t.equal(records.find(record => record.at === 1)?.message, 'whole')
})

test('a folder that cannot be written drops lines, counts them and stops nobody', async t => {
  const dir = await newDir()
  await writeFile(join(dir, 'shop'), 'a file where a folder should be')
  await using store = fileLogStore({ dir, clock: new ManualClock() })
  store.append('shop', 'a', 'one')
  store.append('shop', 'a', 'two')
  await store.close('shop', 'a').catch(() => undefined)
  t.equal(store.dropped, 2)
})

test('lines of many chunks come back whole, in order', async t => {
  const clock = new ManualClock()
  await using store = fileLogStore({ dir: await newDir(), clock })
  const lengths = Array.from({ length: 300 }, (_, index) => (index * 977) % 5_000)
  lengths.forEach((length, index) =>
    store.append('shop', 'a', JSON.stringify({ at: index, level: 'info', message: '中'.repeat(length) })),
  )
  const { records } = await store.search({ site: 'shop', limit: 1_000 })
  t.same(
    records.map(record => record.message.length),
    lengths.toReversed(),
  )
})
