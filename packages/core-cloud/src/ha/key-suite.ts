import assert from 'node:assert/strict'
import type { Coordination, CoordinationFeatures, KeyChange, KeyValue } from './coordination.js'
import { type CoordinationFixture, type SuiteTest, settle, two, until } from './coordination-suite-ends.js'

type Open = () => Promise<CoordinationFixture>

/** Every promise of `KeyValue`: part of `coordinationSuite`. */
export function keySuite(test: SuiteTest, open: Open, features: CoordinationFeatures): void {
  values(test, open)
  watching(test, open, features.everyChange)
  lifetimes(test, open, features.keyTtl)
  refusals(test, open)
}

function values(test: SuiteTest, open: Open): void {
  test('what was put is read by everybody, until it is deleted', async () => {
    await using fixture = await open()
    const [a, b] = stores(fixture)
    assert.equal(await settle(fixture, b.get('config.color')), undefined)
    const one = await settle(fixture, a.put('config.color', bytes('red')))
    const found = await settle(fixture, b.get('config.color'))
    assert.deepEqual([text(found?.value), found?.revision, found?.key], ['red', one, 'config.color'])
    const two = await settle(fixture, b.put('config.color', bytes('')))
    assert.ok(two > one)
    assert.equal(text((await settle(fixture, a.get('config.color')))?.value), '')
    assert.equal(await settle(fixture, a.delete('config.color')), true)
    assert.equal(await settle(fixture, a.delete('config.color')), false)
    assert.equal(await settle(fixture, b.get('config.color')), undefined)
    assert.ok((await settle(fixture, b.put('config.color', bytes('blue'), { expect: 0 }))) > two)
  })

  test('compare-and-set lets exactly one of many through', async () => {
    await using fixture = await open()
    const [a, b] = stores(fixture)
    for (let expect = 0, round = 0; round < 5; round++) {
      const tries = Array.from({ length: 8 }, (_, at) =>
        (at % 2 === 0 ? a : b).put('slot', bytes(`${round}-${at}`), { expect }).then(
          revision => ({ at, revision }),
          (error: { readonly code: string }) => {
            assert.equal(error.code, 'core.ha.conflict')
            return undefined
          },
        ),
      )
      const won = (await settle(fixture, Promise.all(tries))).filter(one => one !== undefined)
      assert.equal(won.length, 1)
      const found = await settle(fixture, a.get('slot'))
      assert.deepEqual([text(found?.value), found?.revision], [`${round}-${won[0]?.at}`, won[0]?.revision])
      expect = won[0]?.revision ?? 0
    }
    await assert.rejects(settle(fixture, a.delete('slot', { expect: 1 })), { code: 'core.ha.conflict' })
  })

  test('a folder has what is below it', async () => {
    await using fixture = await open()
    const [a, b] = stores(fixture)
    for (const key of ['a', 'a.c', 'a.b', 'a.b.c', 'ab', 'b']) await settle(fixture, a.put(key, bytes(key)))
    await settle(fixture, a.delete('a.b'))
    const { entries, revision } = await settle(fixture, b.list('a'))
    assert.deepEqual(
      entries.map(({ key, value }) => [key, text(value)]),
      [
        ['a.b.c', 'a.b.c'],
        ['a.c', 'a.c'],
      ],
    )
    assert.ok(revision >= Math.max(...entries.map(entry => entry.revision)))
    const all = await settle(fixture, b.list())
    assert.deepEqual(
      all.entries.map(({ key }) => key),
      ['a', 'a.b.c', 'a.c', 'ab', 'b'],
    )
  })

  test('a value that was handed out is the reader’s own', async () => {
    await using fixture = await open()
    const [a] = stores(fixture)
    const given = bytes('red')
    await settle(fixture, a.put('color', given))
    given.fill(0)
    const found = await settle(fixture, a.get('color'))
    found?.value.fill(0)
    assert.equal(text((await settle(fixture, a.get('color')))?.value), 'red')
  })
}

function watching(test: SuiteTest, open: Open, everyChange: boolean): void {
  test('a watcher sees what changes from its revision on, in order', async () => {
    await using fixture = await open()
    const [a, b] = stores(fixture)
    await settle(fixture, a.put('w.gone', bytes('x')))
    const { revision } = await settle(fixture, a.list('w'))
    await settle(fixture, a.delete('w.gone'))
    await settle(fixture, a.put('w.one', bytes('1')))
    await settle(fixture, a.put('other', bytes('no')))
    const watch = watched(b, 'w', revision)
    await until(fixture, () => watch.changes.length >= 2)
    await settle(fixture, b.put('w.one', bytes('2')))
    await settle(fixture, a.delete('w.one'))
    await until(fixture, () => watch.changes.at(-1)?.kind === 'delete' && watch.changes.length >= 3)
    const seen = watch.changes.map(change => `${change.kind} ${change.key}`)
    if (everyChange) assert.deepEqual(seen, ['delete w.gone', 'put w.one', 'put w.one', 'delete w.one'])
    else assert.deepEqual([seen.includes('delete w.gone'), seen.at(-1)], [true, 'delete w.one'])
    const revisions = watch.changes.map(change => change.revision)
    assert.deepEqual(
      revisions,
      revisions.toSorted((x, y) => x - y),
    )
    assert.ok(revisions.every(one => one > revision))
    await watch.end(fixture)
  })

  test('a watcher without a revision sees what comes', async () => {
    await using fixture = await open()
    const [a, b] = stores(fixture)
    await settle(fixture, a.put('k', bytes('before')))
    const watch = watched(b, undefined, undefined)
    await fixture.pass(1_000)
    await settle(fixture, a.put('k', bytes('after')))
    await until(fixture, () => watch.changes.length > 0)
    assert.deepEqual(
      watch.changes.map(change => (change.kind === 'put' ? text(change.value) : 'gone')),
      ['after'],
    )
    await watch.end(fixture)
  })

  test('disposing ends watchers with an error', async () => {
    await using fixture = await open()
    const [a] = two(fixture)
    const watch = watched(a.keys as KeyValue, undefined, undefined)
    await fixture.pass(500)
    await settle(fixture, a[Symbol.asyncDispose]())
    await until(fixture, () => watch.failure !== undefined)
    assert.equal(watch.failure?.code, 'core.ha.stopped')
  })
}

function lifetimes(test: SuiteTest, open: Open, keyTtl: boolean): void {
  test('a key with a lifetime is gone after it and not before', async () => {
    await using fixture = await open()
    const [a, b] = stores(fixture)
    if (!keyTtl) {
      await assert.rejects(a.put('k', bytes('x'), { ttlMs: 1_000 }), { code: 'core.ha.unsupported', field: 'ttlMs' })
      return
    }
    const watch = watched(b, undefined, undefined)
    await settle(fixture, a.put('short', bytes('x'), { ttlMs: 2_000 }))
    await settle(fixture, a.put('kept', bytes('x'), { ttlMs: 2_000 }))
    await settle(fixture, a.put('kept', bytes('y')))
    await fixture.pass(1_500)
    assert.ok(await settle(fixture, b.get('short')))
    await until(fixture, () => watch.changes.some(change => change.kind === 'delete'))
    assert.equal(await settle(fixture, b.get('short')), undefined)
    await fixture.pass(4_000)
    assert.equal(text((await settle(fixture, b.get('kept')))?.value), 'y')
    await watch.end(fixture)
  })
}

function refusals(test: SuiteTest, open: Open): void {
  test('keys, values and revisions out of their limits are refused with the field', async () => {
    await using fixture = await open()
    const [a] = stores(fixture)
    for (const key of ['', 'a b', 'a..b', '>', '*', 'a/b', 'a'.repeat(151)]) {
      const refusal = { code: 'core.ha.invalid-argument', field: 'key' }
      await assert.rejects(a.put(key, bytes('x')), refusal)
      await assert.rejects(a.get(key), refusal)
      await assert.rejects(a.delete(key), refusal)
    }
    await assert.rejects(a.put('k', new Uint8Array(262_145)), { code: 'core.ha.too-large', field: 'value' })
    await settle(fixture, a.put('k', new Uint8Array(262_144)))
    assert.equal((await settle(fixture, a.get('k')))?.value.length, 262_144)
    const wrong = { code: 'core.ha.invalid-argument' }
    await assert.rejects(a.put('k', bytes('x'), { expect: -1 }), { ...wrong, field: 'expect' })
    await assert.rejects(a.delete('k', { expect: 0.5 }), { ...wrong, field: 'expect' })
    await assert.rejects(a.put('k', bytes('x'), { ttlMs: 86_400_001 }), wrong)
    await assert.rejects(a.list('a.'), { ...wrong, field: 'folder' })
  })
}

function stores(fixture: CoordinationFixture): readonly [KeyValue, KeyValue] {
  const [a, b] = two(fixture)
  return [keysOf(a), keysOf(b)]
}

function keysOf({ keys }: Coordination): KeyValue {
  assert.ok(keys)
  return keys
}

function watched(keys: KeyValue, folder: string | undefined, from: number | undefined) {
  const controller = new AbortController()
  const { signal } = controller
  const watch = {
    changes: [] as KeyChange[],
    failure: undefined as { readonly code: string } | undefined,
    async end(fixture: CoordinationFixture) {
      controller.abort()
      await settle(fixture, reading)
      assert.equal(watch.failure, undefined)
    },
  }
  const changes = keys.watch(folder, { signal, ...(from === undefined ? {} : { from }) })
  const reading = (async () => {
    try {
      for await (const change of changes) watch.changes.push(change)
    } catch (error) {
      watch.failure = error as { readonly code: string }
    }
  })()
  return watch
}

function bytes(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}

function text(value: Uint8Array | undefined): string | undefined {
  return value === undefined ? undefined : Buffer.from(value).toString()
}
