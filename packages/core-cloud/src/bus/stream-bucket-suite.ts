import assert from 'node:assert/strict'
import type { Bucket, BucketChange, BucketConfig } from './stream.js'
import { bytes, type OnStreams, type StreamEnds, text } from './stream-suite-ends.js'

/** The promises about buckets. */
export function streamBucketSuite(on: OnStreams): void {
  valueSuite(on)
  changeSuite(on)
  watchSuite(on)
}

function openBucket(ends: StreamEnds, config: Partial<BucketConfig> = {}): Promise<Bucket> {
  return ends.near.bucket({ name: ends.name, durability: ends.driver.durabilities[0] ?? 'relaxed', ...config })
}

const shown = (change: BucketChange): string =>
  change.kind === 'put' ? `${change.key}=${text(change)}` : `-${change.key}`

function valueSuite(on: OnStreams): void {
  on('a bucket keeps the last value of each key', async ends => {
    const bucket = await openBucket(ends)
    assert.equal(bucket.name, ends.name)
    assert.equal(await bucket.get('a'), undefined)
    const first = await bucket.put('a', bytes('1'))
    const second = await bucket.put('a.b-c', Uint8Array.of(0, 255))
    const third = await bucket.put('a', bytes('2'))
    assert.ok(first < second && second < third)
    const far = await ends.far.bucket({ name: ends.name, durability: ends.driver.durabilities[0] ?? 'relaxed' })
    const entry = await far.get('a')
    assert.deepEqual([entry?.key, text(entry), entry?.revision], ['a', '2', third])
    assert.ok(entry !== undefined && Math.abs(entry.changedAt - ends.clock.now()) < 60_000)
    assert.deepEqual([...((await far.get('a.b-c'))?.value ?? [])], [0, 255])
    assert.equal(text(await bucket.put('e', bytes('')).then(() => bucket.get('e'))), '')
    await bucket.delete('a')
    await bucket.delete('never')
    assert.equal(await far.get('a'), undefined)
    assert.equal(await far.get('never'), undefined)
  })

  on('keys are listed', async ends => {
    const bucket = await openBucket(ends)
    for (const key of ['b.2', 'a', 'b.1', 'b.1.x', 'gone']) await bucket.put(key, bytes(key))
    await bucket.delete('gone')
    assert.deepEqual(await bucket.keys(), ['a', 'b.1', 'b.1.x', 'b.2'])
    assert.deepEqual(await bucket.keys('b.*'), ['b.1', 'b.2'])
    assert.deepEqual(await bucket.keys('b.>', { limit: 2 }), ['b.1', 'b.1.x'])
    assert.deepEqual(await bucket.keys('none'), [])
  })

  on('a removed bucket is empty when it is made again', async ends => {
    await (await openBucket(ends)).put('a', bytes('1'))
    await ends.near.removeBucket(ends.name)
    await ends.near.removeBucket(ends.name)
    assert.equal(await (await openBucket(ends)).get('a'), undefined)
  })

  on('a bucket at its limit refuses new values and stays as it was', async ends => {
    const bucket = await openBucket(ends, { maxBytes: 4_000 })
    await bucket.put('a', Buffer.alloc(1_500, 'a'))
    await bucket.put('b', Buffer.alloc(1_500, 'b'))
    await assert.rejects(bucket.put('c', Buffer.alloc(1_500)), { code: 'core.bus.stream-full' })
    assert.deepEqual(await bucket.keys(), ['a', 'b'])
    assert.equal((await bucket.get('a'))?.value.length, 1_500)
  })

  on('values go when their time is over', async ends => {
    const bucket = await openBucket(ends, { ttlMs: 400 })
    await bucket.put('a', bytes('1'))
    assert.equal(text(await bucket.get('a')), '1')
    await ends.eventually('it is gone', async () => (await bucket.get('a')) === undefined)
    assert.deepEqual(await bucket.keys(), [])
    await bucket.create('a', bytes('2'))
  })
}

function changeSuite(on: OnStreams): void {
  const conflict = { code: 'core.bus.conflict' }

  on('a value is made or changed only when it is as expected', async ends => {
    const bucket = await openBucket(ends)
    const first = await bucket.create('a', bytes('1'))
    await assert.rejects(bucket.create('a', bytes('x')), conflict)
    const second = await bucket.update('a', bytes('2'), first)
    await assert.rejects(bucket.update('a', bytes('x'), first), conflict)
    await assert.rejects(bucket.update('b', bytes('x'), first), conflict)
    await assert.rejects(bucket.delete('a', { revision: first }), conflict)
    assert.equal(text(await bucket.get('a')), '2')
    await bucket.delete('a', { revision: second })
    await assert.rejects(bucket.update('a', bytes('x'), second), conflict)
    assert.ok((await bucket.create('a', bytes('3'))) > second)
    assert.equal(text(await bucket.get('a')), '3')
  })

  on('of those who change at the same time one succeeds', async ends => {
    const bucket = await openBucket(ends)
    const far = await ends.far.bucket({ name: ends.name, durability: ends.driver.durabilities[0] ?? 'relaxed' })
    await bucket.put('n', bytes('0'))
    let conflicts = 0
    const add = async (which: Bucket): Promise<void> => {
      for (;;) {
        const entry = await which.get('n')
        try {
          await which.update('n', bytes(String(Number(text(entry)) + 1)), entry?.revision ?? 0)
          return
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'core.bus.conflict')
          conflicts += 1
        }
      }
    }
    await Promise.all(Array.from({ length: 20 }, (_, index) => add(index % 2 === 0 ? bucket : far)))
    assert.equal(text(await bucket.get('n')), '20')
    assert.ok(conflicts > 0)
  })

  on('the history of a key has its last values, oldest first', async ends => {
    const bucket = await openBucket(ends, { history: 3 })
    assert.deepEqual(await bucket.history('a'), [])
    for (const value of ['1', '2', '3']) await bucket.put('a', bytes(value))
    await bucket.put('b', bytes('other'))
    assert.deepEqual((await bucket.history('a')).map(shown), ['a=1', 'a=2', 'a=3'])
    await bucket.delete('a')
    assert.deepEqual((await bucket.history('a')).map(shown), ['a=2', 'a=3', '-a'])
  })
}

function watchSuite(on: OnStreams): void {
  on('a watcher sees what is there, then every change in order', async ends => {
    const bucket = await openBucket(ends, { history: 5 })
    await bucket.put('a.1', bytes('old'))
    await bucket.put('a.1', bytes('x'))
    await bucket.put('b.1', bytes('x'))
    await bucket.put('a.2', bytes('y'))
    await bucket.put('a.3', bytes('z'))
    await bucket.delete('a.3')
    const seen: string[] = []
    let running = 0
    const watch = await bucket.watch('a.*', async change => {
      running += 1
      assert.equal(running, 1)
      await Promise.resolve()
      seen.push(shown(change))
      running -= 1
    })
    assert.deepEqual(seen.slice(0, 2).sort(), ['a.1=x', 'a.2=y'])
    assert.equal(seen.length, 2)
    const far = await ends.far.bucket({ name: ends.name, durability: ends.driver.durabilities[0] ?? 'relaxed' })
    await far.put('a.4', bytes('1'))
    await far.put('b.2', bytes('no'))
    await far.put('a.4', bytes('2'))
    await far.delete('a.1')
    await ends.eventually('the changes came', () => seen.length === 5)
    assert.deepEqual(seen.slice(2), ['a.4=1', 'a.4=2', '-a.1'])
    await watch.drain()
    await far.put('a.5', bytes('late'))
    await far.get('a.5')
    assert.equal(seen.length, 5)
  })

  on('a watcher of an empty bucket waits for the first value', async ends => {
    const bucket = await openBucket(ends)
    const seen: string[] = []
    await bucket.watch('>', change => void seen.push(`${shown(change)} ${change.revision}`))
    assert.deepEqual(seen, [])
    const revision = await bucket.put('k', bytes('v'))
    await ends.eventually('it came', () => seen.length === 1)
    assert.deepEqual(seen, [`k=v ${revision}`])
  })
}
