import assert from 'node:assert/strict'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { Cache } from './cache.js'

/** A fresh, empty cache and the means to test it. */
export interface CacheFixture {
  /** Bounded to about 64 KiB, values to about 16 KiB. */
  readonly cache: Cache
  /** Lets the cache's time pass. */
  passTime(ms: number): Promise<void>
}

type RunTest = (name: string, run: () => Promise<void>) => unknown

/** Every promise of the {@link Cache} port; a driver is done when it passes. */
export function cacheSuite(test: RunTest, open: () => Promise<CacheFixture>): void {
  const withCache = (name: string, run: (fixture: CacheFixture) => Promise<void>): void => {
    test(name, async () => {
      const fixture = await open()
      try {
        await run(fixture)
      } finally {
        await fixture.cache[Symbol.asyncDispose]()
      }
    })
  }
  valueTests(withCache)
  boundTests(withCache)
  tagTests(withCache)
  loadTests(withCache)
}

type WithCache = (name: string, run: (fixture: CacheFixture) => Promise<void>) => void

const minute = { ttlMs: 60_000 }

function valueTests(withCache: WithCache): void {
  withCache('a value is there until its lifetime has passed', async ({ cache, passTime }) => {
    assert.equal(await cache.get('k'), undefined)
    await cache.set('k', { a: [1, null, 'x'] }, { ttlMs: 1_000 })
    await passTime(999)
    assert.deepEqual(await cache.get('k'), { a: [1, null, 'x'] })
    await passTime(1)
    assert.equal(await cache.get('k'), undefined)
  })
  withCache('falsy values are hits', async ({ cache }) => {
    for (const value of [null, 0, false, '']) {
      await cache.set('k', value, minute)
      assert.equal(await cache.get('k'), value)
      assert.equal(await cache.wrap('k', () => assert.fail('loaded'), minute), value)
    }
  })
  withCache('a later value replaces an earlier one, with its lifetime and tags', async ({ cache, passTime }) => {
    await cache.set('k', 1, { ttlMs: 10, tags: ['old'] })
    await cache.set('k', 2, { ttlMs: 1_000, tags: ['new'] })
    await passTime(11)
    await cache.invalidate(['old'])
    assert.equal(await cache.get('k'), 2)
  })
  withCache('a deleted value is gone; deleting nothing is fine', async ({ cache }) => {
    await cache.set('k', 1, minute)
    await cache.delete('k')
    await cache.delete('k')
    assert.equal(await cache.get('k'), undefined)
    assert.equal(cache.stats().entries, 0)
  })
  withCache('hits and misses are counted', async ({ cache }) => {
    await cache.set('k', 1, minute)
    await cache.get('k')
    await cache.get('other')
    const { hits, misses } = cache.stats()
    assert.deepEqual({ hits, misses }, { hits: 1, misses: 1 })
  })
  withCache('an aborted signal stops a call before it does anything', async ({ cache }) => {
    const signal = AbortSignal.abort(new Error('enough'))
    await assert.rejects(cache.get('k', { signal }), /enough/)
    await assert.rejects(cache.set('k', 1, { ...minute, signal }), /enough/)
    await assert.rejects(
      cache.wrap('k', () => assert.fail('loaded'), { ...minute, signal }),
      /enough/,
    )
    assert.equal(await cache.get('k'), undefined)
  })
}

function boundTests(withCache: WithCache): void {
  withCache('the longest key and lifetime and the most tags are taken, one more is refused', async ({ cache }) => {
    const tags = Array.from({ length: 17 }, (_, index) => `t${index}`)
    await cache.set('k'.repeat(512), 1, { ttlMs: 86_400_000, tags: tags.slice(1) })
    await assert.rejects(cache.set('k'.repeat(513), 1, minute))
    await assert.rejects(cache.set('', 1, minute))
    await assert.rejects(cache.set('k', 1, { ttlMs: 86_400_001 }))
    await assert.rejects(cache.set('k', 1, { ttlMs: 0 }))
    await assert.rejects(cache.set('k', 1, { ...minute, tags }))
    assert.equal(await cache.get('k'), undefined)
  })
  withCache('a value over the limit is refused and leaves what was there', async ({ cache }) => {
    await cache.set('k', 'small', minute)
    const error: unknown = await cache.set('k', 'x'.repeat(40_000), minute).catch((failure: unknown) => failure)
    assert(CloudError.is(error, 'support.cache.too-large'))
    assert.equal(await cache.get('k'), 'small')
    assert.equal((await cache.wrap('big', async () => 'x'.repeat(40_000), minute)).length, 40_000)
    assert.equal(await cache.get('big'), undefined)
  })
  withCache('bytes stay bounded, and what was not used longest goes first', async ({ cache }) => {
    await cache.set('kept', 1, minute)
    for (let index = 0; index < 200; index++) {
      await cache.set(`k${index}`, 'x'.repeat(2_000), minute)
      assert.equal(await cache.get('kept'), 1)
      assert(cache.stats().bytes <= 65_536)
    }
    assert.equal(await cache.get('k0'), undefined)
    assert.equal(await cache.get('k199'), 'x'.repeat(2_000))
    const { entries, evictions } = cache.stats()
    assert.equal(entries + evictions, 201)
  })
}

function tagTests(withCache: WithCache): void {
  withCache('a tag drops every value that carries it and no other', async ({ cache }) => {
    await cache.set('a', 1, { ...minute, tags: ['x'] })
    await cache.set('b', 2, { ...minute, tags: ['x', 'y'] })
    await cache.set('c', 3, { ...minute, tags: ['y'] })
    await cache.set('d', 4, minute)
    await cache.invalidate(['x', 'unknown'])
    assert.deepEqual(await Promise.all(['a', 'b', 'c', 'd'].map(key => cache.get(key))), [undefined, undefined, 3, 4])
    await cache.invalidate(['y'])
    assert.equal(cache.stats().entries, 1)
  })
}

function loadTests(withCache: WithCache): void {
  withCache('callers that miss together share one load', async ({ cache }) => {
    const gate = deferred()
    let loads = 0
    const load = async (): Promise<string> => {
      loads += 1
      await gate.opened
      return 'value'
    }
    const waiting = Array.from({ length: 50 }, () => cache.wrap('k', load, minute))
    gate.open()
    assert.deepEqual(new Set(await Promise.all(waiting)), new Set(['value']))
    assert.equal(await cache.wrap('k', load, minute), 'value')
    assert.equal(loads, 1)
  })
  withCache('a failed load reaches all who wait and is not kept', async ({ cache }) => {
    const failing = (): Promise<never> => Promise.reject(new Error('no such thing'))
    const waiting = [cache.wrap('k', failing, minute), cache.wrap('k', failing, minute)]
    for (const one of waiting) await assert.rejects(one, /no such thing/)
    assert.equal(await cache.wrap('k', async () => 'now', minute), 'now')
  })
  for (const [what, change] of [
    ['invalidated', (cache: Cache) => cache.invalidate(['t'])],
    ['deleted', (cache: Cache) => cache.delete('k')],
  ] as const) {
    withCache(`a value ${what} while it loads is given to its callers but not kept`, async ({ cache }) => {
      const gate = deferred()
      const load = (value: string) => async (): Promise<string> => {
        await gate.opened
        return value
      }
      const before = cache.wrap('k', load('old'), { ...minute, tags: ['t'] })
      await change(cache)
      const after = cache.wrap('k', load('new'), { ...minute, tags: ['t'] })
      gate.open()
      assert.deepEqual(await Promise.all([before, after]), ['old', 'new'])
      assert.equal(await cache.get('k'), 'new')
    })
  }
  withCache('a value set while another loads stays', async ({ cache }) => {
    const gate = deferred()
    const loading = cache.wrap('k', () => gate.opened.then(() => 'loaded'), minute)
    await cache.set('k', 'set', minute)
    gate.open()
    assert.equal(await loading, 'loaded')
    assert.equal(await cache.get('k'), 'set')
  })
  withCache('who gives up waiting does not stop the load for others', async ({ cache }) => {
    const gate = deferred()
    const abort = new AbortController()
    const load = (): Promise<string> => gate.opened.then(() => 'value')
    const leaving = cache.wrap('k', load, { ...minute, signal: abort.signal })
    const staying = cache.wrap('k', load, minute)
    abort.abort(new Error('enough'))
    await assert.rejects(leaving, /enough/)
    gate.open()
    assert.equal(await staying, 'value')
    assert.equal(await cache.get('k'), 'value')
  })
}

function deferred(): { readonly opened: Promise<void>; open(): void } {
  let open: () => void = () => undefined
  const opened = new Promise<void>(resolve => {
    open = resolve
  })
  return { opened, open: () => open() }
}
