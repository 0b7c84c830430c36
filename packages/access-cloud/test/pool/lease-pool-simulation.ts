import type { Lease, LeasePool } from '@aaas/access-cloud/pool'
import { ManualClock, seededRandom } from '@aaas/testing'

interface Holding {
  readonly lease: Lease
  readonly until: () => number
}

/**
 * Holders that finish, renew, or vanish while they hold, and a resource that checks the fencing token of each write.
 * @returns what the port does not allow.
 */
export async function simulate(seed: number, build: (clock: ManualClock) => LeasePool): Promise<string[]> {
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

export const resources = ['t1', 't2']
