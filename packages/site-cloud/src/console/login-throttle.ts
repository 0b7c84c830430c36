import { type Clock, CloudError } from '@aaas/core-cloud/kernel'

const maxTries = 10
const lockMs = 15 * 60_000
const maxTracked = 10_000

/**
 * Counts logins of a name before their passwords are looked at, so that many at once are counted too. Ten without a
 * success lock the name for 15 minutes; sessions that are open go on.
 */
export class LoginThrottle {
  readonly #tries = new Map<string, { count: number; readonly until: number }>()

  constructor(readonly clock: Clock) {}

  /** @throws CloudError `core.contract.rate-limited`. */
  count(name: string): void {
    const now = this.clock.monotonic()
    const tries = this.#tries.get(name)
    if (tries !== undefined && tries.until > now) {
      if (tries.count >= maxTries) throw tooMany(tries.until - now)
      tries.count += 1
      return
    }
    this.#tries.delete(name)
    if (this.#tries.size >= maxTracked) this.#forget(now)
    this.#tries.set(name, { count: 1, until: now + lockMs })
  }

  clear(name: string): void {
    this.#tries.delete(name)
  }

  /** Makes room without unlocking a name: inventing names must not give another ten tries at a real one. */
  #forget(now: number): void {
    for (const [name, tries] of this.#tries) {
      if (tries.until <= now || tries.count < maxTries) this.#tries.delete(name)
    }
    if (this.#tries.size >= maxTracked) throw tooMany(lockMs)
  }
}

function tooMany(retryAfterMs: number): CloudError {
  const minutes = Math.ceil(retryAfterMs / 60_000)
  return new CloudError('core.contract.rate-limited', `too many wrong tries; wait ${minutes} minutes`, {
    details: { retryAfterMs },
  })
}
