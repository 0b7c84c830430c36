import assert from 'node:assert/strict'
import { memoryRatePool, type RatePool, type RateRequest } from '@aaas/access-cloud/pool'
import { CloudError } from '@aaas/core-cloud/kernel'
import { ManualClock, seededRandom } from '@aaas/testing'
import { test } from 'tap'

interface World {
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
async function simulate(seed: number, build: (world: World) => RatePool): Promise<string[]> {
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

test('the memory pool keeps every promise under random load (30 seeds)', async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const flaws = await simulate(seed, world => memoryRatePool(world))
    assert.deepEqual(flaws, [], `seed ${seed}`)
  }
})

/** A pool that is right but for what `change` does to it: the simulation has to notice. */
function mutant(
  world: World,
  change: {
    readonly limit?: number
    readonly intervalMs?: number
    readonly weights?: Readonly<Record<string, number>>
    readonly request?: (request: RateRequest) => RateRequest
    readonly after?: (request: RateRequest) => Promise<void>
  },
): RatePool {
  const pool = memoryRatePool({
    clock: world.clock,
    limit: change.limit ?? world.limit,
    intervalMs: change.intervalMs ?? world.intervalMs,
    weights: change.weights ?? world.weights,
  })
  return {
    async acquire(request) {
      await pool.acquire(change.request?.(request) ?? request)
      await change.after?.(request)
    },
    stats: () => pool.stats(),
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  }
}

function lateRefusals(world: World, byMs: number): RatePool {
  const pool = memoryRatePool(world)
  return {
    acquire: request =>
      pool.acquire(request).catch(async (error: unknown) => {
        const ms = Math.max(0, request.deadline - world.clock.now()) + byMs
        await new Promise<void>(resolve => world.clock.after(ms, resolve))
        throw error
      }),
    stats: () => pool.stats(),
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  }
}

/** The usual token bucket with a full burst: nearly twice the limit fits into one window. */
function bucketPool({ clock, limit, intervalMs }: World): RatePool {
  let tokens = limit
  let last = clock.now()
  return {
    async acquire({ cost = 1, deadline }) {
      for (;;) {
        const now = clock.now()
        tokens = Math.min(limit, tokens + ((now - last) * limit) / intervalMs)
        last = now
        if (tokens >= cost) {
          tokens -= cost
          return
        }
        const wait = Math.ceil(((cost - tokens) * intervalMs) / limit)
        if (now + wait > deadline) throw new CloudError('access.pool.timeout', 'late')
        await new Promise<void>(resolve => clock.after(wait, resolve))
      }
    },
    stats: () => ({ waiting: 0, granted: 0, refused: 0 }),
    async [Symbol.asyncDispose]() {},
  }
}

const planted: Readonly<Record<string, { readonly build: (world: World) => RatePool; readonly flaw: string }>> = {
  'a token bucket with full burst': { build: bucketPool, flaw: 'more than the limit in a window' },
  'a window one millisecond short': {
    build: world => mutant(world, { intervalMs: world.intervalMs - 1 }),
    flaw: 'more than the limit in a window',
  },
  'one unit too many': {
    build: world => mutant(world, { limit: world.limit + 1 }),
    flaw: 'more than the limit in a window',
  },
  'cost is ignored': {
    build: world => mutant(world, { request: request => ({ ...request, cost: 1 }) }),
    flaw: 'more than the limit in a window',
  },
  'first come, first served': {
    build: world => mutant(world, { request: request => ({ ...request, tenant: 'everybody' }) }),
    flaw: 'unfair',
  },
  'weights are ignored': { build: world => mutant(world, { weights: {} }), flaw: 'unfair' },
  'quota is left idle': { build: world => mutant(world, { limit: Math.max(1, world.limit - 1) }), flaw: 'idle quota' },
  'deadlines are ignored': {
    build: world => mutant(world, { request: request => ({ ...request, deadline: world.clock.now() + 3_600_000 }) }),
    flaw: 'served after the deadline',
  },
  'a refusal waits for the deadline': {
    build: world => lateRefusals(world, 0),
    flaw: 'not refused at once',
  },
  'refusals come late': {
    build: world => lateRefusals(world, 1),
    flaw: 'refused after the deadline',
  },
}

for (const [name, { build, flaw }] of Object.entries(planted)) {
  test(`the simulation finds a planted bug: ${name}`, async () => {
    const seen = new Set<string>()
    for (let seed = 1; seed <= 5 && !seen.has(flaw); seed++) {
      for (const found of await simulate(seed, build)) seen.add(found)
    }
    assert.ok(seen.has(flaw), `found only: ${[...seen].join(', ')}`)
  })
}
