import assert from 'node:assert/strict'
import { type Lease, type LeasePool, memoryLeasePool } from '@aaas/access-cloud/pool'
import type { ManualClock } from '@aaas/testing'
import { test } from 'tap'
import { resources, simulate } from './lease-pool-simulation.js'

test('the memory lease pool keeps every promise under random use (40 seeds)', async () => {
  for (let seed = 1; seed <= 40; seed++) {
    assert.deepEqual(await simulate(seed, clock => memoryLeasePool({ resources, clock })), [], `seed ${seed}`)
  }
})

/** Wraps the leases of a right pool. */
function mutant(clock: ManualClock, change: (lease: Lease) => Lease): LeasePool {
  const pool = memoryLeasePool({ resources, clock })
  return {
    lease: async request => change(await pool.lease(request)),
    stats: () => pool.stats(),
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  }
}

const overlay = (lease: Lease, change: Partial<Lease>): Lease =>
  new Proxy(lease, {
    get(target, key) {
      if (key in change) return change[key as keyof Lease]
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })

const planted: Readonly<Record<string, { readonly build: (clock: ManualClock) => LeasePool; readonly flaw: string }>> =
  {
    'tokens repeat': {
      build: clock => mutant(clock, lease => overlay(lease, { fencingToken: 7 })),
      flaw: 'token did not grow',
    },
    'the end is told later than it is': {
      build: clock => mutant(clock, lease => overlay(lease, { expiresAt: lease.expiresAt + 60 })),
      flaw: 'two holders',
    },
    'the signal never aborts': {
      build: clock => mutant(clock, lease => overlay(lease, { signal: new AbortController().signal })),
      flaw: 'no warning before the end',
    },
    'giving back is forgotten, and leases never end': {
      build: clock => {
        const pool = memoryLeasePool({ resources, clock })
        return {
          lease: async request =>
            overlay(await pool.lease({ ...request, ttlMs: 86_400_000 }), { async [Symbol.asyncDispose]() {} }),
          stats: () => pool.stats(),
          [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
        }
      },
      flaw: 'a resource was lost',
    },
  }

for (const [name, { build, flaw }] of Object.entries(planted)) {
  test(`the simulation finds a planted bug: ${name}`, async () => {
    const seen = new Set<string>()
    for (let seed = 1; seed <= 5 && !seen.has(flaw); seed++)
      for (const found of await simulate(seed, build)) seen.add(found)
    assert.ok(seen.has(flaw), `found only: ${[...seen].join(', ')}`)
  })
}
