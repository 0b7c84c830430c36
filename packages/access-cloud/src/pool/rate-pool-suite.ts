import assert from 'node:assert/strict'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { RatePool } from './pool.js'

export interface RatePoolFixture {
  readonly pool: RatePool
  /** Milliseconds since the epoch, as the pool sees them. */
  readonly now: () => number
  /** Moves the pool's time and lets what is due happen. */
  readonly passTime: (ms: number) => Promise<void>
}

interface RatePoolSetting {
  readonly limit: number
  readonly intervalMs: number
  readonly weights?: Readonly<Record<string, number>>
  readonly maxWaiting?: number
}

type Test = (name: string, fn: () => Promise<void>) => unknown
type Open = (setting: RatePoolSetting) => Promise<RatePoolFixture>

/** Every promise of {@link RatePool}. */
export function ratePoolSuite(test: Test, open: Open): void {
  capacityTests(test, open)
  deadlineTests(test, open)
  limitTests(test, open)
}

function capacityTests(test: Test, open: Open): void {
  test('the limit passes at once, the next waits for the window to end', async () => {
    const { pool, now, passTime } = await open({ limit: 3, intervalMs: 1_000 })
    await using _ = pool
    const order: number[] = []
    for (let index = 0; index < 5; index++) {
      void pool.acquire({ tenant: 'a', deadline: now() + 10_000 }).then(() => order.push(index))
    }
    await passTime(0)
    assert.deepEqual(order, [0, 1, 2])
    await passTime(999)
    assert.deepEqual(order, [0, 1, 2])
    assert.equal(pool.stats().waiting, 2)
    await passTime(1)
    assert.deepEqual(order, [0, 1, 2, 3, 4])
  })

  test('a window that starts anywhere holds at most the limit', async () => {
    const { pool, now, passTime } = await open({ limit: 2, intervalMs: 1_000 })
    await using _ = pool
    const grants: number[] = []
    for (let index = 0; index < 6; index++) {
      void pool.acquire({ tenant: 'a', deadline: now() + 60_000 }).then(() => grants.push(now()))
      await passTime(300)
    }
    await passTime(5_000)
    assert.equal(grants.length, 6)
    for (const start of grants) {
      assert.ok(grants.filter(at => at >= start && at < start + 1_000).length <= 2)
    }
  })

  test('tenants that wait share by weight, and an idle share goes to the others', async () => {
    const { pool, now, passTime } = await open({ limit: 4, intervalMs: 1_000, weights: { a: 3 } })
    await using _ = pool
    const grants: string[] = []
    for (let index = 0; index < 40; index++) {
      for (const tenant of ['a', 'b']) {
        void pool.acquire({ tenant, deadline: now() + 3_600_000 }).then(() => grants.push(tenant))
      }
    }
    await passTime(10_000)
    const both = grants.slice(4, 40)
    assert.equal(both.filter(tenant => tenant === 'a').length, 27)
    await passTime(11_000)
    assert.equal(grants.length, 80)
  })

  test('a large request is not starved by small ones', async () => {
    const { pool, now, passTime } = await open({ limit: 4, intervalMs: 1_000 })
    await using _ = pool
    let large = false
    for (let index = 0; index < 8; index++) void outcome(pool.acquire({ tenant: 'small', deadline: now() + 60_000 }))
    void pool.acquire({ tenant: 'large', cost: 4, deadline: now() + 60_000 }).then(() => {
      large = true
    })
    for (let step = 0; step < 30 && !large; step++) {
      void outcome(pool.acquire({ tenant: 'small', deadline: now() + 60_000 }))
      await passTime(100)
    }
    assert.equal(large, true)
  })
}

function deadlineTests(test: Test, open: Open): void {
  test('a request that cannot be served by its deadline is refused at once', async () => {
    const { pool, now, passTime } = await open({ limit: 1, intervalMs: 1_000 })
    await using _ = pool
    await pool.acquire({ tenant: 'a', deadline: now() })
    await rejects(pool.acquire({ tenant: 'a', deadline: now() + 999 }), 'access.pool.timeout')
    const served = outcome(pool.acquire({ tenant: 'a', deadline: now() + 1_000 }))
    await rejects(pool.acquire({ tenant: 'a', deadline: now() + 1_999 }), 'access.pool.timeout')
    assert.deepEqual(pool.stats(), { waiting: 1, granted: 1, refused: 2 })
    await passTime(1_000)
    assert.equal(await served, 'granted')
  })

  test('a request whose deadline comes while it waits is refused then and takes nothing', async () => {
    const { pool, now, passTime } = await open({ limit: 1, intervalMs: 1_000, weights: { b: 100 } })
    await using _ = pool
    await pool.acquire({ tenant: 'a', deadline: now() })
    const late = outcome(pool.acquire({ tenant: 'a', deadline: now() + 1_500 }))
    // These join later and go first, by weight and by an earlier deadline of the same tenant.
    const first = outcome(pool.acquire({ tenant: 'a', deadline: now() + 1_200 }))
    await passTime(1_500)
    assert.equal(await first, 'granted')
    assert.equal(await late, 'access.pool.timeout')
    assert.equal(pool.stats().waiting, 0)
  })

  test('within a tenant the earliest deadline goes first', async () => {
    const { pool, now, passTime } = await open({ limit: 1, intervalMs: 100 })
    await using _ = pool
    const order: string[] = []
    await pool.acquire({ tenant: 'a', deadline: now() })
    void pool.acquire({ tenant: 'a', deadline: now() + 900 }).then(() => order.push('later'))
    void pool.acquire({ tenant: 'a', deadline: now() + 300 }).then(() => order.push('sooner'))
    await passTime(300)
    assert.deepEqual(order, ['sooner', 'later'])
  })
}

function limitTests(test: Test, open: Open): void {
  test('an aborted request leaves the line and takes nothing', async () => {
    const { pool, now, passTime } = await open({ limit: 1, intervalMs: 1_000 })
    await using _ = pool
    await pool.acquire({ tenant: 'a', deadline: now() })
    const abort = new AbortController()
    const aborted = pool.acquire({ tenant: 'a', deadline: now() + 9_000, signal: abort.signal })
    const next = outcome(pool.acquire({ tenant: 'a', deadline: now() + 9_000 }))
    const reason = new Error('gone')
    abort.abort(reason)
    await assert.rejects(aborted, error => error === reason)
    await passTime(1_000)
    assert.equal(await next, 'granted')
  })

  test('the waiting line of a tenant is bounded, and a full one does not hinder the others', async () => {
    const { pool, now, passTime } = await open({ limit: 1, intervalMs: 1_000, maxWaiting: 2 })
    await using _ = pool
    const far = now() + 3_600_000
    await pool.acquire({ tenant: 'a', deadline: far })
    const waiting = [0, 1].map(() => outcome(pool.acquire({ tenant: 'a', deadline: far })))
    await rejects(pool.acquire({ tenant: 'a', deadline: far }), 'access.pool.full')
    waiting.push(outcome(pool.acquire({ tenant: 'b', deadline: far })))
    await passTime(3_000)
    assert.deepEqual(await Promise.all(waiting), ['granted', 'granted', 'granted'])
  })

  test('a cost that can never be served names its field', async () => {
    const { pool, now } = await open({ limit: 2, intervalMs: 1_000 })
    await using _ = pool
    for (const cost of [0, -1, 3, 1.5, Number.NaN]) {
      const error = await pool.acquire({ tenant: 'a', deadline: now() + 1, cost }).catch((thrown: unknown) => thrown)
      assert.ok(CloudError.is(error, 'core.contract.invalid-input'))
      assert.equal(error.field, 'cost')
    }
    await pool.acquire({ tenant: 'a', deadline: now() + 1, cost: 2 })
  })

  test('disposal refuses those who wait and those who come later', async () => {
    const { pool, now } = await open({ limit: 1, intervalMs: 1_000 })
    await pool.acquire({ tenant: 'a', deadline: now() })
    const waiting = rejects(pool.acquire({ tenant: 'a', deadline: now() + 9_000 }), 'core.kernel.stopped')
    await pool[Symbol.asyncDispose]()
    await waiting
    await rejects(pool.acquire({ tenant: 'a', deadline: now() + 9_000 }), 'core.kernel.stopped')
  })
}

function outcome(acquired: Promise<void>): Promise<string> {
  return acquired.then(
    () => 'granted',
    (error: unknown) => CloudError.from(error).code,
  )
}

async function rejects(promise: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(promise, (error: unknown) => CloudError.is(error) && error.code === code)
}
