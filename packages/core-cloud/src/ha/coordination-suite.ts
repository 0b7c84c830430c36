import assert from 'node:assert/strict'
import { CloudError } from '../kernel/errors.js'
import type { Coordination, CoordinationFeatures, Holder, Lease } from './coordination.js'
import { type CoordinationFixture, first, type SuiteTest, settle, two, until } from './coordination-suite-ends.js'
import { keySuite } from './key-suite.js'

export type { CoordinationFixture } from './coordination-suite-ends.js'

/** Shortest lifetime of the port. */
const ttlMs = 1_000

/**
 * Every promise of {@link Coordination}.
 * @param features - those that the driver says it has; checked.
 */
export function coordinationSuite(
  test: SuiteTest,
  open: () => Promise<CoordinationFixture>,
  features: CoordinationFeatures & { readonly keys: boolean },
): void {
  test('the driver has the features that it says', async () => {
    await using fixture = await open()
    const { fair, keyTtl, everyChange } = features
    assert.deepEqual({ ...first(fixture).features }, { fair, keyTtl, everyChange })
    assert.equal(first(fixture).keys !== undefined, features.keys)
  })
  holding(test, open)
  ends(test, open)
  waiting(test, open, features.fair)
  elections(test, open)
  badInput(test, open)
  if (features.keys) keySuite(test, open, features)
}

function holding(test: SuiteTest, open: () => Promise<CoordinationFixture>): void {
  test('a name has one holder, whom everybody sees', async () => {
    await using fixture = await open()
    const [a, b] = two(fixture)
    assert.equal(await settle(fixture, b.holder('job')), undefined)
    const lease = await mine(fixture, a, 'job', { ttlMs, value: 'host-a:1' })
    assert.equal(await settle(fixture, b.lease('job', { ttlMs })), undefined)
    const holder = (await settle(fixture, b.holder('job'))) as Holder
    assert.deepEqual([holder.value, holder.token], ['host-a:1', lease.token])
    assert.ok(await settle(fixture, b.lease('other', { ttlMs })))
  })

  test('a released lease is free at once, and the next token is higher', async () => {
    await using fixture = await open()
    const [a, b] = two(fixture)
    const one = await mine(fixture, a, 'job', { ttlMs: 60_000 })
    await settle(fixture, one.release())
    assert.ok(CloudError.is(one.signal.reason, 'core.ha.stopped'))
    assert.throws(() => one.assertHeld(), { code: 'core.ha.stopped' })
    const other = await mine(fixture, b, 'job', { ttlMs })
    assert.ok(other.token > one.token)
    await settle(fixture, one.release())
    other.assertHeld()
    assert.equal((await settle(fixture, b.holder('job')))?.token, other.token)
  })

  test('a lease is renewed for as long as its holder lives', async () => {
    await using fixture = await open()
    const [a, b] = two(fixture)
    const lease = await mine(fixture, a, 'job', { ttlMs })
    for (let round = 0; round < 6; round++) {
      await fixture.pass(ttlMs)
      lease.assertHeld()
      assert.equal(await settle(fixture, b.lease('job', { ttlMs })), undefined)
    }
  })

  test('the lease of a dead holder ends, not before its time, and the next token is higher', async () => {
    await using fixture = await open()
    const [a, b] = two(fixture)
    const lease = await mine(fixture, a, 'job', { ttlMs: 3_000 })
    await fixture.kill(a)
    assert.equal(await settle(fixture, b.lease('job', { ttlMs })), undefined)
    const next = await settle(fixture, b.lock('job', { ttlMs }))
    assert.ok(next.token > lease.token)
    assert.ok(lease.signal.aborted, 'whoever was killed would have known before')
    assert.ok(CloudError.is(lease.signal.reason, 'core.ha.lost'))
  })
}

function ends(test: SuiteTest, open: () => Promise<CoordinationFixture>): void {
  test('disposing releases everything and ends everything', async () => {
    await using fixture = await open()
    const [a, b] = two(fixture)
    const lease = await mine(fixture, a, 'job', { ttlMs: 60_000 })
    await settle(fixture, a[Symbol.asyncDispose]())
    assert.ok(lease.signal.aborted)
    assert.ok(await settle(fixture, b.lease('job', { ttlMs })))
    await assert.rejects(a.lease('job'), { code: 'core.ha.stopped' })
    await assert.rejects(a.holder('job'), { code: 'core.ha.stopped' })
  })

  test('tokens rise over a restart of everything', async () => {
    await using fixture = await open()
    if (fixture.restart === undefined) return
    const tokens: number[] = []
    let nodes = fixture.nodes
    for (let round = 0; round < 3; round++) {
      const lease = await settle(fixture, (nodes[round % 2] as Coordination).lock('job', { ttlMs }))
      tokens.push(lease.token)
      nodes = await fixture.restart()
    }
    assert.deepEqual(
      tokens,
      [...new Set(tokens)].sort((x, y) => x - y),
    )
  })
}

function waiting(test: SuiteTest, open: () => Promise<CoordinationFixture>, fair: boolean): void {
  test('a lock is waited for', async () => {
    await using fixture = await open()
    const [a, b] = two(fixture)
    const held = await mine(fixture, a, 'job', { ttlMs })
    let got: Lease | undefined
    const next = b.lock('job', { ttlMs }).then(lease => (got = lease))
    await fixture.pass(3 * ttlMs)
    assert.equal(got, undefined)
    await settle(fixture, held.release())
    await settle(fixture, next)
    assert.ok((got as Lease | undefined) !== undefined)
  })

  test('waiting ends at its deadline and when it is cancelled, and leaves nothing behind', async () => {
    await using fixture = await open()
    const [a, b] = two(fixture)
    const held = await mine(fixture, a, 'job', { ttlMs })
    const late = b.lock('job', { ttlMs, deadline: 1 })
    await assert.rejects(settle(fixture, late), { code: 'core.contract.deadline-exceeded' })
    const controller = new AbortController()
    const cancelled = settle(fixture, b.lock('job', { ttlMs, signal: controller.signal }))
    controller.abort()
    await assert.rejects(cancelled, { code: 'core.contract.cancelled' })
    await settle(fixture, held.release())
    assert.ok(await settle(fixture, a.lease('job', { ttlMs })))
  })

  test('waiting locks get their turn', async () => {
    await using fixture = await open()
    const [a, b] = two(fixture)
    const held = await mine(fixture, a, 'job', { ttlMs })
    const order: number[] = []
    const tokens: number[] = []
    const turns = [0, 1, 2, 3].map(async turn => {
      // One after the other, so that there is an order.
      for (let step = 0; step < turn; step++) await fixture.pass(100)
      const lease = await (turn % 2 === 0 ? b : a).lock('job', { ttlMs })
      order.push(turn)
      tokens.push(lease.token)
      await lease.release()
    })
    await fixture.pass(800)
    await settle(fixture, held.release())
    await settle(fixture, Promise.all(turns))
    if (fair) assert.deepEqual(order, [0, 1, 2, 3])
    assert.deepEqual(
      tokens,
      tokens.toSorted((x, y) => x - y),
    )
    assert.equal(new Set(tokens).size, 4)
  })
}

function elections(test: SuiteTest, open: () => Promise<CoordinationFixture>): void {
  test('an election has one leader, and another one when it dies', async () => {
    await using fixture = await open()
    const [a, b] = two(fixture)
    const terms: { readonly who: string; readonly lease: Lease }[] = []
    const stand = (node: Coordination, who: string) =>
      node.elect('leader', { ttlMs, value: who }, async lease => {
        for (const other of terms) assert.ok(other.lease.signal.aborted, 'no two at a time')
        terms.push({ who, lease })
        await new Promise(resolve => lease.signal.addEventListener('abort', resolve))
      })
    const one = stand(a, 'a')
    await until(fixture, () => terms.length === 1)
    const other = stand(b, 'b')
    await fixture.pass(3 * ttlMs)
    assert.deepEqual([terms.length, terms[0]?.who], [1, 'a'])
    assert.equal(one.lease?.token, terms[0]?.lease.token)
    assert.equal(other.lease, undefined)
    await fixture.kill(a)
    await until(fixture, () => terms.length === 2)
    assert.equal(terms[1]?.who, 'b')
    assert.ok((terms[1]?.lease.token ?? 0) > (terms[0]?.lease.token ?? 0))
    await settle(fixture, other.stop())
    assert.equal(await settle(fixture, b.holder('leader')), undefined)
  })

  test('a leader that gives up or fails lets the other one lead', async () => {
    await using fixture = await open()
    const [a, b] = two(fixture)
    const led: string[] = []
    const one = a.elect('leader', { ttlMs }, async () => {
      led.push('a')
      throw new Error('failed')
    })
    await until(fixture, () => led.length === 1)
    const other = b.elect('leader', { ttlMs }, async lease => {
      led.push('b')
      await new Promise(resolve => lease.signal.addEventListener('abort', resolve))
    })
    await until(fixture, () => led.at(-1) === 'b')
    const all = led.length
    await fixture.pass(2 * ttlMs)
    assert.equal(led.length, all)
    await settle(fixture, Promise.all([one.stop(), other.stop()]))
  })

  test('the holders are told', async () => {
    await using fixture = await open()
    const [a, b] = two(fixture)
    const controller = new AbortController()
    const seen: (string | undefined)[] = []
    const reading = (async () => {
      for await (const holder of b.holders('job', { signal: controller.signal })) seen.push(holder?.value)
    })()
    await until(fixture, () => seen.length === 1)
    const lease = await mine(fixture, a, 'job', { ttlMs, value: 'one' })
    await until(fixture, () => seen.at(-1) === 'one')
    await settle(fixture, lease.release())
    await until(fixture, () => seen.at(-1) === undefined)
    await mine(fixture, b, 'job', { ttlMs, value: 'two' })
    await until(fixture, () => seen.at(-1) === 'two')
    assert.deepEqual(seen, [undefined, 'one', undefined, 'two'])
    controller.abort()
    await settle(fixture, reading)
  })
}

function badInput(test: SuiteTest, open: () => Promise<CoordinationFixture>): void {
  test('names, lifetimes and values out of their limits are refused with the field', async () => {
    await using fixture = await open()
    const node = first(fixture)
    const names = ['', '.', 'a..b', 'a.', 'a b', 'a/b', 'ä', 'a\nb', '*', `${'a'.repeat(151)}`]
    for (const name of names) {
      await assert.rejects(node.lease(name), { code: 'core.ha.invalid-argument', field: 'name' }, name)
      await assert.rejects(node.holder(name), { code: 'core.ha.invalid-argument', field: 'name' })
    }
    for (const wrong of [0, 999, 3_600_001, 1_000.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      const refusal = { code: 'core.ha.invalid-argument', field: 'ttlMs' }
      await assert.rejects(node.lock('job', { ttlMs: wrong }), refusal)
    }
    const tooLong = { value: 'ä'.repeat(513) }
    await assert.rejects(node.lease('job', tooLong), { code: 'core.ha.too-large', field: 'value' })
    const edge = { ttlMs: 3_600_000, value: 'ä'.repeat(512) }
    assert.ok(await settle(fixture, node.lease('a'.repeat(150), edge)))
  })
}

async function mine(
  fixture: CoordinationFixture,
  node: Coordination,
  name: string,
  options: { readonly ttlMs: number; readonly value?: string },
): Promise<Lease> {
  const lease = await settle(fixture, node.lease(name, options))
  assert.ok(lease, `${name} is free`)
  return lease
}
