import assert from 'node:assert/strict'
import { type Lease, type LeasePool, memoryLeasePool } from '@aaas/access-cloud/pool'
import { ManualClock, seededRandom } from '@aaas/testing'
import { test } from 'tap'

interface Holding {
  readonly lease: Lease
  readonly until: () => number
}

/**
 * Holders that finish, renew, or vanish while they hold, and a resource that checks the fencing token of each write.
 * @returns what the port does not allow.
 */
async function simulate(seed: number, build: (clock: ManualClock) => LeasePool): Promise<string[]> {
  const random = seededRandom(seed)
  const pick = (from: number, to: number): number => from + Math.floor(random() * (to - from + 1))
  const clock = new ManualClock()
  const pool = build(clock)
  const flaws = new Set<string>()
  const fences = new Map<string, number>()
  const holding = new Map<string, Holding>()
  let open = 0

  const take = (lease: Lease): void => {
    const before = holding.get(lease.resource)
    if (before !== undefined && clock.now() < before.until()) flaws.add('two holders')
    if (lease.fencingToken <= (fences.get(lease.resource) ?? 0)) flaws.add('token did not grow')
    fences.set(lease.resource, lease.fencingToken)
    let end = lease.expiresAt
    holding.set(lease.resource, { lease, until: () => end })
    lease.signal.addEventListener('abort', () => {
      if (clock.now() >= end) flaws.add('no warning before the end')
    })
    const fate = random()
    if (fate < 0.2) {
      clock.after(200, () => {
        if (clock.now() > end && !lease.signal.aborted) flaws.add('no warning before the end')
      })
      return
    }
    const release = (): void => {
      if (holding.get(lease.resource)?.lease === lease) holding.delete(lease.resource)
      void lease[Symbol.asyncDispose]()
    }
    if (fate < 0.5) {
      clock.after(pick(1, 60), () => {
        lease.renew().then(
          () => {
            end = lease.expiresAt
          },
          () => undefined,
        )
      })
    }
    clock.after(pick(1, 180), release)
  }

  for (let step = 0; step < 150; step++) {
    for (let index = pick(0, 3); index > 0; index--) {
      open += 1
      const request = { tenant: 'abc'[pick(0, 2)] ?? 'a', deadline: clock.now() + pick(0, 400), ttlMs: pick(40, 120) }
      pool.lease(request).then(
        lease => {
          open -= 1
          take(lease)
        },
        () => {
          open -= 1
        },
      )
    }
    await clock.pass(pick(1, 40))
  }
  await clock.pass(5_000)
  if (open > 0) flaws.add('a request was never answered')
  const { free, leased, waiting } = pool.stats()
  if (free !== 2 || leased !== 0 || waiting !== 0) flaws.add('a resource was lost')
  await pool[Symbol.asyncDispose]()
  return [...flaws]
}

const resources = ['t1', 't2']

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
