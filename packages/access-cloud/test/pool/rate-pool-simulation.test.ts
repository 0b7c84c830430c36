import assert from 'node:assert/strict'
import { memoryRatePool, type RatePool, type RateRequest } from '@aaas/access-cloud/pool'
import { CloudError } from '@aaas/core-cloud/kernel'
import { test } from 'tap'
import { simulate, type World } from './rate-pool-simulation.js'

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
