import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CloudError, createLogger } from '@aaas/core-cloud/kernel'
import { ManualClock } from '@aaas/testing'
import Database from 'libsql'
import { after, test } from 'tap'
import { type SearchDocument, type SqliteSearchOptions, sqliteSearchIndex } from '../../src/search/index.js'

const folder = mkdtempSync(join(tmpdir(), 'aaas-search-file-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const fields = { texts: { name: 2, text: 1 }, keywords: ['brand'], numbers: ['price'] }
const indexProcess = new URL('./index-process.js', import.meta.url)
let count = 0

function fresh(): string {
  count += 1
  return join(folder, `${count}.db`)
}

function open(file: string, more: Partial<SqliteSearchOptions> = {}): ReturnType<typeof sqliteSearchIndex> {
  return sqliteSearchIndex({ file, fields, ...more })
}

async function* documents(size: number, batch = 200): AsyncGenerator<readonly SearchDocument[]> {
  for (let at = 0; at < size; at += batch) {
    yield Array.from({ length: Math.min(batch, size - at) }, (_, index) => ({
      id: `d-${at + index}`,
      texts: { name: `手机壳 case ${at + index}`, text: '保护您的手机，防摔耐磨。Keeps a phone safe in every fall.' },
      keywords: { brand: `b-${index % 5}` },
      numbers: { price: index },
    }))
  }
}

test('an index survives being closed', async t => {
  const file = fresh()
  await (async () => {
    await using index = open(file)
    await index.rebuild(documents(10), { stamp: 's' })
  })()
  await using index = open(file)
  t.equal(await index.stamp(), 's')
  t.equal((await index.search({ text: '手机壳' })).total, 10)
})

test('a damaged file is replaced by an empty index', async t => {
  for (const [name, damage] of [
    ['no database', (file: string) => writeFileSync(file, 'garbage '.repeat(2_000))],
    ['cut off', (file: string) => truncateSync(file, 5_000)],
    ['another database', (file: string) => makeOther(file)],
  ] as const) {
    await t.test(name, async t => {
      const file = fresh()
      // Another process makes the file, because the engine frees a connection of this one only when it collects garbage.
      await once(fork(indexProcess, ['build', file, '100']), 'exit')
      for (const side of ['-wal', '-shm']) rmSync(`${file}${side}`, { force: true })
      damage(file)
      const lines: string[] = []
      const logger = createLogger({ now: () => 0, write: record => lines.push(record.message) })
      await using index = open(file, { logger })
      // A cut file may open well and fail later; then one search fails and the next finds an empty index.
      await index.search({ text: '手机', facets: ['brand'] }).catch((error: unknown) => {
        t.ok(CloudError.is(error, 'support.search.unavailable'))
      })
      t.equal(await index.stamp(), undefined)
      t.equal(await index.count(), 0)
      t.ok(lines.length > 0)
      t.equal(await index.rebuild(documents(10), { stamp: 's' }), true)
      t.equal((await index.search({ text: '手机' })).total, 10)
    })
  }
})

function makeOther(file: string): void {
  writeFileSync(file, '')
  const db = new Database(file)
  db.exec('create table something (x); insert into something values (1)')
  db.close()
}

test('an index damaged while it is open recovers', async t => {
  const file = fresh()
  await using index = open(file, { logger: createLogger({ now: () => 0, write: () => undefined }) })
  await index.rebuild(documents(2_000), { stamp: 's' })
  const bytes = readFileSync(file)
  // Whatever lies in the write-ahead log goes to the file first, so that the damage is read.
  const other = new Database(file)
  other.pragma('wal_checkpoint(truncate)')
  other.close()
  writeFileSync(file, Buffer.alloc(Math.max(bytes.length, 200_000), 0x5a))
  let failures = 0
  for (let attempt = 0; attempt < 3; attempt++) {
    await index.search({ text: `case ${attempt}`, facets: ['brand'] }).catch((error: unknown) => {
      t.ok(CloudError.is(error, 'support.search.unavailable'))
      failures += 1
    })
  }
  t.ok(failures <= 1, `${failures} failures`)
  t.equal(await index.rebuild(documents(10), { stamp: 'again' }), true)
  t.equal(await index.count(), 10)
})

test('other fields, weights or words make a new index', async t => {
  const file = fresh()
  for (const more of [
    {},
    { fields: { ...fields, texts: { name: 3, text: 1 } } },
    { fields: { ...fields, numbers: ['price', 'year'] } },
    { userWords: ['防摔'] },
  ]) {
    await using index = open(file, more)
    t.equal(await index.stamp(), undefined)
    await index.rebuild(documents(5), { stamp: 's' })
  }
})

test('wrong fields are refused', async t => {
  for (const wrong of [
    { texts: {} },
    { texts: { 'a b': 1 } },
    { texts: { a: 0 } },
    { texts: { a: 1 }, numbers: ['x', 'X'] },
  ]) {
    t.throws(() => open(':memory:', { fields: wrong }), { code: 'core.kernel.invalid-config' })
  }
})

test('a folder that is not there is an error that can be retried', async t => {
  t.throws(() => open(join(folder, 'nowhere', 'x.db')), { code: 'support.search.unavailable', retryable: true })
})

test('two handles of one file: one writes, the other reads without waiting', async t => {
  const file = fresh()
  await using writer = open(file)
  await using reader = open(file)
  await writer.rebuild(documents(100), { stamp: 'v1' })
  t.equal((await reader.search({ text: '手机' })).total, 100)
  async function* watched(): AsyncGenerator<readonly SearchDocument[]> {
    yield [{ id: 'only', texts: { name: '新品' } }]
    t.equal((await reader.search({ text: '手机' })).total, 100)
    t.equal((await writer.search({ text: '手机' })).total, 100)
  }
  await writer.rebuild(watched(), { stamp: 'v2' })
  t.equal((await reader.search({ text: '手机' })).total, 0)
  t.equal(await reader.stamp(), 'v2')
})

test('a write waits for the writer of another handle, and gives up at its limit', async t => {
  const file = fresh()
  const clock = new ManualClock()
  await using first = open(file)
  await using second = open(file, { clock, writeWaitMs: 100 })
  let release = (): void => undefined
  const held = new Promise<void>(resolve => {
    release = resolve
  })
  let entered = (): void => undefined
  const inside = new Promise<void>(resolve => {
    entered = resolve
  })
  async function* holding(): AsyncGenerator<readonly SearchDocument[]> {
    entered()
    await held
    yield [{ id: 'first', texts: { name: 'a' } }]
  }
  const rebuilt = first.rebuild(holding(), { stamp: 'v1' })
  await inside
  const refused = t.rejects(second.put([{ id: 'x', texts: {} }]), {
    code: 'support.search.unavailable',
    retryable: true,
  })
  await clock.pass(200)
  await refused
  const waiting = second.put([{ id: 'second', texts: { name: 'b' } }])
  await clock.pass(40)
  release()
  await rebuilt
  await clock.pass(40)
  await waiting
  t.equal(await first.count(), 2)
})

test('a process that dies while it writes leaves the old index', async t => {
  const file = fresh()
  await using index = open(file)
  await index.rebuild(documents(50), { stamp: 'v1' })
  const child = fork(indexProcess, ['hang', file])
  await once(child, 'message')
  child.kill('SIGKILL')
  await once(child, 'exit')
  t.equal(await index.stamp(), 'v1')
  t.equal((await index.search({ text: '手机' })).total, 50)
  t.equal(await index.rebuild(documents(60), { stamp: 'v2' }), true)
  t.equal(await index.count(), 60)
})
