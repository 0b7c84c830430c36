import assert from 'node:assert/strict'
import type { LogStore } from './log-store.js'

export interface LogStoreFixture {
  readonly store: LogStore
  /** Epoch milliseconds of the store's clock. */
  readonly now: () => number
}

type Test = (name: string, fn: () => Promise<void>) => unknown

/** Every promise of {@link LogStore} that does not depend on a driver's limits, for any test runner. */
export function logStoreSuite(test: Test, open: () => Promise<LogStoreFixture>): void {
  contents(test, open)
  bounds(test, open)
}

function contents(test: Test, open: () => Promise<LogStoreFixture>): void {
  test('a structured line keeps its fields, a plain one becomes a message', async () => {
    const { store, now } = await open()
    await using _ = store
    store.append('shop', 'a', JSON.stringify({ at: 5, level: 'error', message: 'broken', order: 7 }))
    store.append('shop', 'a', 'just text')
    store.append('shop', 'a', 'oh no', 'stderr')
    store.append('shop', 'a', '{"half')
    const { records, complete } = await store.search({ site: 'shop', limit: 10 })
    assert.equal(complete, true)
    assert.deepEqual(
      records.map(({ at, level, message }) => [at, level, message]),
      [
        [now(), 'info', '{"half'],
        [now(), 'warn', 'oh no'],
        [now(), 'info', 'just text'],
        [5, 'error', 'broken'],
      ],
    )
    assert.deepEqual(records[3], { instance: 'a', at: 5, level: 'error', message: 'broken', fields: { order: 7 } })
  })

  test('a field cannot take the place of what the store says itself', async () => {
    const { store } = await open()
    await using _ = store
    store.append(
      'shop',
      'a',
      JSON.stringify({ at: 'yesterday', level: 'loud', message: 'x', instance: 'b', fields: 1 }),
    )
    const [record] = (await store.search({ site: 'shop', limit: 1 })).records
    assert.equal(record?.instance, 'a')
    assert.equal(record?.level, 'info')
    assert.deepEqual(record?.fields, { instance: 'b', fields: 1 })
  })

  test('a search goes by instance, text, level and time, newest first, up to the limit', async () => {
    const { store } = await open()
    await using _ = store
    for (let at = 1; at <= 20; at++) {
      const level = at % 2 === 0 ? 'warn' : 'debug'
      store.append(
        'shop',
        at % 4 === 0 ? 'b' : 'a',
        JSON.stringify({ at, level, message: `line ${at}`, item: `Tee-${at}` }),
      )
    }
    store.append('other', 'z', JSON.stringify({ at: 21, level: 'error', message: 'line of another site' }))
    const find = async (query: object): Promise<number[]> =>
      (await store.search({ site: 'shop', limit: 100, ...query })).records.map(record => record.at)
    assert.deepEqual(await find({ limit: 3 }), [20, 19, 18])
    assert.deepEqual(await find({ instance: 'b' }), [20, 16, 12, 8, 4])
    assert.deepEqual(await find({ level: 'warn', since: 14 }), [20, 18, 16, 14])
    assert.deepEqual(await find({ before: 4 }), [3, 2, 1])
    assert.deepEqual(await find({ text: 'LINE 7' }), [7], 'any case')
    assert.deepEqual(await find({ text: 'tee-9' }), [9], 'fields too')
    assert.deepEqual(await find({ instance: 'nobody' }), [])
    assert.deepEqual((await store.search({ site: 'unknown', limit: 1 })).records, [])
  })
}

function bounds(test: Test, open: () => Promise<LogStoreFixture>): void {
  test('the lines of a dead instance stay, those of a removed site go', async () => {
    const { store } = await open()
    await using _ = store
    store.append('shop', 'a', 'last words')
    await store.close('shop', 'a')
    assert.equal((await store.search({ site: 'shop', limit: 1 })).records[0]?.message, 'last words')
    await store.remove('shop')
    assert.deepEqual((await store.search({ site: 'shop', limit: 1 })).records, [])
  })

  test('a long line is cut, and a page has a limit of text', async () => {
    const { store } = await open()
    await using _ = store
    for (let count = 0; count < 80; count++) store.append('shop', 'a', 'x'.repeat(70_000))
    const { records } = await store.search({ site: 'shop', limit: 1_000 })
    assert.equal(records[0]?.message.length, 65_536)
    assert.ok(records.length >= 60 && records.length < 80, `${records.length} records of 64 KiB in a page of 4 MiB`)
  })

  test('names that are no names and limits out of range are refused', async () => {
    const { store } = await open()
    await using _ = store
    for (const site of ['', '..', 'a/b', 'UPPER', 'x'.repeat(41)]) {
      assert.throws(() => store.append(site, 'a', 'x'), { code: 'core.kernel.invalid-config', field: 'site' })
    }
    assert.throws(() => store.append('shop', '../a', 'x'), { code: 'core.kernel.invalid-config', field: 'instance' })
    for (const limit of [0, 1_001, 1.5]) {
      await assert.rejects(store.search({ site: 'shop', limit }), {
        code: 'core.kernel.invalid-config',
        field: 'limit',
      })
    }
    assert.equal((await store.search({ site: 'shop', limit: 1_000 })).records.length, 0)
  })
}
