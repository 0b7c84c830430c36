import type { Bucket, BucketEntry, StreamSubscription } from '@aaas/core-cloud/bus'
import type { Clock } from '../../kernel/clock.js'
import type { Logger } from '../../kernel/logger.js'
import type { Attempt, LeaseDriver, Owned } from '../coordination/lease-driver.js'
import { Sightings } from '../coordination/sightings.js'
import type { Holder } from '../coordination.js'
import { reaching, unlessConflict } from './bucket-errors.js'

/** Value of a key: who holds the name. A released one has no owner. */
interface Record {
  readonly owner: string
  readonly node: string
  readonly value: string
  readonly ttlMs: number
  /** Absent in the write that grants it: its token is that write's revision. */
  readonly token?: number
}

const free: Record = { owner: '', node: '', value: '', ttlMs: 0 }
const maxTries = 4

/**
 * Leases in a bucket: a key a name, written with compare-and-set. A lease that is renewed has a new revision; whoever
 * saw the same one for a whole lifetime by its own clock may take it over.
 */
export class BucketLeases implements LeaseDriver {
  readonly #bucket: Bucket
  readonly #logger: Logger
  readonly #node: string
  readonly #sightings: Sightings
  readonly #listeners = new Map<string, Set<() => void>>()
  #watch: Promise<StreamSubscription> | undefined

  constructor(options: {
    readonly bucket: Bucket
    readonly clock: Clock
    readonly logger: Logger
    readonly node: string
  }) {
    this.#bucket = options.bucket
    this.#logger = options.logger
    this.#node = options.node
    this.#sightings = new Sightings(options.clock)
  }

  async acquire({ name, owner, value, ttlMs }: Attempt): Promise<{ readonly token: number } | undefined> {
    const entry = await this.#read(name)
    const found = entry === undefined ? free : recordOf(entry)
    const mine: Record = { owner, node: this.#node, value, ttlMs }
    if (entry === undefined) return granted(await unlessConflict(() => this.#bucket.create(name, bytesOf(mine))))
    if (found.owner === owner) {
      const token = found.token ?? entry.revision
      const revision = await this.#replace(name, { ...mine, token }, entry.revision)
      return revision === undefined ? undefined : { token }
    }
    const over = this.#sightings.lastsFor(name, String(entry.revision)) >= found.ttlMs
    return found.owner === '' || over ? granted(await this.#replace(name, mine, entry.revision)) : undefined
  }

  async renew({ name, owner, token }: Owned, ttlMs: number): Promise<boolean> {
    // After a write whose outcome was not known the revision is another one; then the next write counts.
    for (let tries = 0; tries < maxTries; tries++) {
      const entry = await this.#read(name)
      const found = entry === undefined ? free : recordOf(entry)
      if (entry === undefined || found.owner !== owner) return false
      const revision = await this.#replace(name, { ...found, ttlMs, token }, entry.revision)
      if (revision !== undefined) return true
    }
    return false
  }

  async release(name: string, owner: string): Promise<void> {
    for (let tries = 0; tries < maxTries; tries++) {
      const entry = await this.#read(name)
      if (entry === undefined || recordOf(entry).owner !== owner) return
      if ((await this.#replace(name, free, entry.revision)) !== undefined) return
    }
  }

  async holder(name: string): Promise<Holder | undefined> {
    const entry = await this.#read(name)
    if (entry === undefined) return undefined
    const { owner, node, value, ttlMs, token = entry.revision } = recordOf(entry)
    if (owner === '' || this.#sightings.lastsFor(name, String(entry.revision)) >= ttlMs) return undefined
    return { node, token, value }
  }

  onChange(name: string, changed: () => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners)
    listeners.add(changed)
    this.#follow()
    return () => {
      listeners.delete(changed)
      if (listeners.size === 0) this.#listeners.delete(name)
    }
  }

  async close(): Promise<void> {
    const watch = await this.#watch?.catch(() => undefined)
    await watch?.drain()
  }

  /** One watcher for all names. Without it those who wait still ask by themselves. */
  #follow(): void {
    this.#watch ??= this.#bucket.watch('>', change => {
      for (const listener of this.#listeners.get(change.key) ?? []) listener()
    })
    this.#watch.catch((error: unknown) => {
      this.#logger.debug('leases are not watched', { error })
      this.#watch = undefined
    })
  }

  #read(name: string): Promise<BucketEntry | undefined> {
    return reaching('read', () => this.#bucket.get(name))
  }

  #replace(name: string, record: Record, revision: number): Promise<number | undefined> {
    return unlessConflict(() => this.#bucket.update(name, bytesOf(record), revision))
  }
}

function granted(revision: number | undefined): { readonly token: number } | undefined {
  return revision === undefined ? undefined : { token: revision }
}

function bytesOf(record: Record): Uint8Array {
  return Buffer.from(JSON.stringify(record))
}

/** What somebody else wrote there counts as held for an hour: better no lease than two. */
function recordOf({ value }: BucketEntry): Record {
  try {
    const record = JSON.parse(Buffer.from(value).toString('utf8')) as Partial<Record>
    const { owner, node = '', value: said = '', ttlMs, token } = record
    if (typeof owner === 'string' && typeof ttlMs === 'number')
      return { owner, node, value: said, ttlMs, ...(typeof token === 'number' ? { token } : {}) }
  } catch {
    // Said above.
  }
  return { owner: '?', node: '', value: '', ttlMs: 3_600_000 }
}
