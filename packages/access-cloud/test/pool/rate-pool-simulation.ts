import type { RatePool } from '@aaas/access-cloud/pool'
import { CloudError } from '@aaas/core-cloud/kernel'
import { ManualClock, seededRandom } from '@aaas/testing'

export interface World {
  readonly clock: ManualClock
  readonly limit: number
  readonly intervalMs: number
  readonly weights: Readonly<Record<string, number>>
}

interface Served {
  readonly tenant: string
  readonly cost: number
  readonly at: number
}

/** What a run showed that the port does not allow; empty: nothing. */
export async function simulate(seed: number, build: (world: World) => RatePool): Promise<string[]> {
  const random = seededRandom(seed)
  const pick = (from: number, to: number): number => from + Math.floor(random() * (to - from + 1))
  const clock = new ManualClock()
  const world: World = {
    clock,
    limit: pick(2, 12),
    intervalMs: pick(50, 400),
    weights: { a: pick(1, 4), b: 1, c: pick(1, 2) },
  }
  const pool = build(world)
  const served: Served[] = []
  const flaws = new Set<string>()
  let open = 0
  const request = (tenant: string): void => {
    const cost = random() < 0.15 ? pick(1, world.limit) : 1
    const deadline = clock.now() + pick(0, 8) * world.intervalMs
    const abort = random() < 0.05 ? new AbortController() : undefined
    if (abort !== undefined) clock.after(pick(0, 300), () => abort.abort(new Error('gone')))
    open += 1
    pool.acquire({ tenant, cost, deadline, ...(abort === undefined ? {} : { signal: abort.signal }) }).then(
      () => {
        open -= 1
        if (clock.now() > deadline) flaws.add('served after the deadline')
        served.push({ tenant, cost, at: clock.now() })
      },
      (error: unknown) => {
        open -= 1
        if (CloudError.is(error) && clock.now() > deadline) flaws.add('refused after the deadline')
      },
    )
  }
  for (let step = 0; step < 120; step++) {
    const bursts = random() < 0.2 ? pick(4, 25) : pick(0, 3)
    for (let index = 0; index < bursts; index++) request('abc'[pick(0, 2)] ?? 'a')
    await clock.pass(pick(1, 60))
  }
  await clock.pass(20 * world.intervalMs)
  if (open > 0) flaws.add('a request was never answered')
  if (overrun(served, world)) flaws.add('more than the limit in a window')
  await pool[Symbol.asyncDispose]()
  for (const flaw of await fairness(build)) flaws.add(flaw)
  return [...flaws]
}

/** Looks at every window that starts with a grant: a fuller one would start with one too. */
function overrun(served: readonly Served[], { limit, intervalMs }: World): boolean {
  return served.some(first => {
    const inside = served.filter(other => other.at >= first.at && other.at < first.at + intervalMs)
    return inside.reduce((sum, one) => sum + one.cost, 0) > limit
  })
}

/** Tenants a (weight 3) and b flood, then b is alone: shares, and no idle quota. */
async function fairness(build: (world: World) => RatePool): Promise<string[]> {
  const clock = new ManualClock()
  const pool = build({ clock, limit: 8, intervalMs: 100, weights: { a: 3, b: 1 } })
  const grants: string[] = []
  const ask = (tenant: string): void => {
    pool.acquire({ tenant, deadline: clock.now() + 100_000 }).then(
      () => grants.push(tenant),
      () => undefined,
    )
  }
  // b is first in the line with all its requests: order of arrival must not decide.
  for (let index = 0; index < 150; index++) ask('b')
  for (let index = 0; index < 90; index++) ask('a')
  await clock.pass(1_000)
  const flaws: string[] = []
  const contended = grants.slice(8, 88)
  const share = contended.filter(tenant => tenant === 'a').length / contended.length
  if (Math.abs(share - 0.75) > 0.05) flaws.push('unfair')
  await clock.pass(1_500)
  if (grants.length < 8 * 25) flaws.push('idle quota')
  let refused = false
  pool.acquire({ tenant: 'b', deadline: clock.now() + 1 }).catch(() => {
    refused = true
  })
  await clock.pass(0)
  if (!refused) flaws.push('not refused at once')
  await pool[Symbol.asyncDispose]()
  return flaws
}
