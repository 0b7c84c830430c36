import { scrypt, timingSafeEqual } from 'node:crypto'
import { CloudError, type Ids } from '@aaas/core-cloud/kernel'

/** Cost of a hash. Memory in bytes is 128 x N x r. */
export interface ScryptCost {
  /** A power of two. */
  readonly N: number
  readonly r: number
  readonly p: number
}

/** OWASP's choice with the least memory (16 MiB a hash), so that logins do not burst a small instance. */
export const defaultCost: ScryptCost = { N: 16_384, r: 8, p: 5 }

const keyBytes = 32
const stored = /^scrypt\$(\d{1,7})\$(\d{1,2})\$(\d{1,2})\$([a-z2-7]{26,64})\$([A-Za-z0-9_-]{43})$/

/**
 * Hashes passwords off the event loop, at most `parallel` at a time; more than `waiting` callers are refused, because
 * a queue of slow hashes would outlive every deadline.
 */
export class PasswordHasher {
  readonly #ids: Ids
  readonly #cost: ScryptCost
  readonly #parallel: number
  readonly #waiting: number
  readonly #queue: (() => void)[] = []
  #running = 0
  #decoy: Promise<string> | undefined

  /** @param options.parallel - hashes at once, default 2. @param options.waiting - callers that may wait, default 64. */
  constructor(options: {
    readonly ids: Ids
    readonly cost?: ScryptCost
    readonly parallel?: number
    readonly waiting?: number
  }) {
    this.#ids = options.ids
    this.#cost = options.cost ?? defaultCost
    this.#parallel = options.parallel ?? 2
    this.#waiting = options.waiting ?? 64
  }

  /** @returns the hash with its salt and cost, as text. @throws CloudError `core.contract.rate-limited` when too many wait. */
  async hash(password: string): Promise<string> {
    const salt = this.#ids.token(16)
    const { N, r, p } = this.#cost
    const key = await this.#derive(password, salt, this.#cost)
    return `scrypt$${N}$${r}$${p}$${salt}$${key.toString('base64url')}`
  }

  /**
   * Compares in constant time. Without a stored hash (an unknown address) it works as long and says no.
   * @returns `weak` when the hash was made at a lower cost than today's: hash again.
   */
  async verify(password: string, hash: string | undefined): Promise<'right' | 'weak' | 'wrong'> {
    this.#decoy ??= this.hash('').catch((error: unknown) => {
      this.#decoy = undefined
      throw error
    })
    // Awaited for everybody, or the first unknown address after a start would take twice as long.
    const decoy = await this.#decoy
    const match = stored.exec(hash ?? decoy)
    if (match === null) throw new CloudError('core.kernel.internal', 'a stored password hash is malformed')
    const [, N, r, p, salt = '', key = ''] = match
    const cost = { N: Number(N), r: Number(r), p: Number(p) }
    const derived = await this.#derive(password, salt, cost)
    const same = timingSafeEqual(derived, Buffer.from(key, 'base64url'))
    if (!same || hash === undefined) return 'wrong'
    return cost.N * cost.r * cost.p < this.#cost.N * this.#cost.r * this.#cost.p ? 'weak' : 'right'
  }

  async #derive(password: string, salt: string, cost: ScryptCost): Promise<Buffer> {
    await this.#enter()
    try {
      return await new Promise((resolve, reject) => {
        const options = { ...cost, maxmem: 256 * cost.N * cost.r }
        // NFKC, so that a password typed on another keyboard is the same password (NIST SP 800-63B).
        scrypt(password.normalize('NFKC'), salt, keyBytes, options, (error, key) =>
          error ? reject(error) : resolve(key),
        )
      })
    } finally {
      this.#leave()
    }
  }

  async #enter(): Promise<void> {
    if (this.#running < this.#parallel) {
      this.#running += 1
      return
    }
    if (this.#queue.length >= this.#waiting) {
      throw new CloudError('core.contract.rate-limited', 'too many logins at once; try again in a moment')
    }
    await new Promise<void>(resolve => this.#queue.push(resolve))
  }

  #leave(): void {
    const next = this.#queue.shift()
    // The place is handed over, so that nobody can slip in between.
    if (next) next()
    else this.#running -= 1
  }
}
