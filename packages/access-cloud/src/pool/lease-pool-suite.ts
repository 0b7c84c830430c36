import assert from 'node:assert/strict'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { LeasePool } from './pool.js'

export interface LeasePoolFixture {
  readonly pool: LeasePool
  readonly now: () => number
  /** Moves the pool's time and lets what is due happen. */
  readonly passTime: (ms: number) => Promise<void>
}

type Test = (name: string, fn: () => Promise<void>) => unknown
type Open = (setting: {
  readonly resources: readonly string[]
  readonly maxWaiting?: number
}) => Promise<LeasePoolFixture>

/** Every promise of {@link LeasePool}. */
export function leasePoolSuite(test: Test, open: Open): void {
  holdTests(test, open)
  waitTests(test, open)
}

function holdTests(test: Test, open: Open): void {
  test('one holder at a time, and the token grows with every lease of a resource', async () => {
    const { pool, now, passTime } = await open({ resources: ['t1'] })
    await using _ = pool
    const first = await pool.lease({ tenant: 'a', deadline: now(), ttlMs: 10_000 })
    assert.equal(first.resource, 't1')
    assert.equal(first.expiresAt, now() + 10_000)
    const second = pool.lease({ tenant: 'b', deadline: now() + 5_000, ttlMs: 10_000 })
    await passTime(1_000)
    assert.deepEqual(pool.stats(), { free: 0, leased: 1, waiting: 1 })
    await first[Symbol.asyncDispose]()
    assert.ok((await second).fencingToken > first.fencingToken)
    await (await second)[Symbol.asyncDispose]()
  })

  test('the signal aborts before the lease ends, and only the end frees the resource', async () => {
    const { pool, now, passTime } = await open({ resources: ['t1'] })
    await using _ = pool
    const start = now()
    const first = await pool.lease({ tenant: 'a', deadline: now(), ttlMs: 8_000 })
    let abortedAt: number | undefined
    first.signal.addEventListener('abort', () => {
      abortedAt = now()
    })
    let grantedAt: number | undefined
    const second = pool.lease({ tenant: 'b', deadline: now() + 60_000, ttlMs: 1_000 }).then(lease => {
      grantedAt = now()
      return lease
    })
    for (let step = 0; step < 100 && grantedAt === undefined; step++) await passTime(100)
    assert.ok(abortedAt !== undefined && abortedAt < start + 8_000)
    assert.ok(grantedAt !== undefined && grantedAt >= start + 8_000)
    assert.ok((await second).fencingToken > first.fencingToken)
    // The first holder comes back late: giving back what it no longer holds changes nothing.
    await first[Symbol.asyncDispose]()
    assert.equal(pool.stats().leased, 1)
  })

  test('renewal starts the time again; an ended or returned lease cannot be renewed', async () => {
    const { pool, now, passTime } = await open({ resources: ['t1', 't2'] })
    await using _ = pool
    const lease = await pool.lease({ tenant: 'a', deadline: now(), ttlMs: 4_000 })
    for (let round = 0; round < 4; round++) {
      await passTime(2_000)
      await lease.renew()
      assert.equal(lease.expiresAt, now() + 4_000)
    }
    assert.equal(lease.signal.aborted, false)
    await passTime(4_000)
    await rejects(lease.renew(), 'access.pool.timeout')
    const returned = await pool.lease({ tenant: 'a', deadline: now(), ttlMs: 4_000 })
    await returned[Symbol.asyncDispose]()
    await returned[Symbol.asyncDispose]()
    await rejects(returned.renew(), 'access.pool.timeout')
    assert.deepEqual(pool.stats(), { free: 2, leased: 0, waiting: 0 })
  })
}

function waitTests(test: Test, open: Open): void {
  test('tenants that wait take turns', async () => {
    const { pool, now, passTime } = await open({ resources: ['t1'] })
    await using _ = pool
    const order: string[] = []
    const use = async (tenant: string): Promise<void> => {
      await using _lease = await pool.lease({ tenant, deadline: now() + 60_000, ttlMs: 10_000 })
      order.push(tenant)
    }
    const held = await pool.lease({ tenant: 'a', deadline: now(), ttlMs: 10_000 })
    const all = ['a', 'a', 'a', 'b', 'b', 'b'].map(use)
    await held[Symbol.asyncDispose]()
    await passTime(0)
    await Promise.all(all)
    assert.deepEqual(order, ['a', 'b', 'a', 'b', 'a', 'b'])
  })

  test('who waits is refused at the deadline, when aborted, and when the line is full', async () => {
    const { pool, now, passTime } = await open({ resources: ['t1'], maxWaiting: 2 })
    await using _ = pool
    await pool.lease({ tenant: 'a', deadline: now(), ttlMs: 60_000 })
    const abort = new AbortController()
    const timed = rejects(pool.lease({ tenant: 'a', deadline: now() + 500, ttlMs: 1_000 }), 'access.pool.timeout')
    const aborted = pool.lease({ tenant: 'a', deadline: now() + 900, ttlMs: 1_000, signal: abort.signal })
    const refused = assert.rejects(aborted, (error: unknown) => error === abort.signal.reason)
    await rejects(pool.lease({ tenant: 'a', deadline: now() + 900, ttlMs: 1_000 }), 'access.pool.full')
    await passTime(500)
    await timed
    abort.abort(new Error('gone'))
    await refused
    assert.equal(pool.stats().waiting, 0)
  })

  test('disposal ends leases and refuses those who wait', async () => {
    const { pool, now } = await open({ resources: ['t1'] })
    const lease = await pool.lease({ tenant: 'a', deadline: now(), ttlMs: 60_000 })
    const waiting = rejects(pool.lease({ tenant: 'a', deadline: now() + 500, ttlMs: 1_000 }), 'core.kernel.stopped')
    await pool[Symbol.asyncDispose]()
    await waiting
    assert.equal(lease.signal.aborted, true)
    await rejects(pool.lease({ tenant: 'a', deadline: now() + 500, ttlMs: 1_000 }), 'core.kernel.stopped')
  })
}

async function rejects(promise: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(promise, (error: unknown) => CloudError.is(error) && error.code === code)
}
