import { CloudError } from '../../kernel/errors.js'
import { checkSubject, coveredBy } from '../subject.js'

/** What wildcard subscriptions must not see and nobody may send to by hand: answers, and the bus's own business. */
export const controlToken = '_AAAS'
const maxRoutes = 1_024
/** Milliseconds after which a worker that answered nothing is forgotten, at most twice this. */
const forgetMs = 10_000

/** What a caller knows about one subject, and what waits to be sent to it in this tick. */
export class Route {
  slab: Buffer | undefined
  end = 0
  /** Where each waiting record ends. */
  ends: number[] = []
  ids: number[] = []
  /** Bytes the next slab should have. */
  hint = 512
  #lastWorker = 0
  #seen = new Set<number>()
  #before = 0
  #turnAt = 0

  constructor(
    readonly subject: string,
    /** Its receivers are plain NATS clients. */
    readonly plain: boolean,
  ) {}

  /** An answer came from this connection. */
  note(worker: number): void {
    if (worker === this.#lastWorker) return
    this.#lastWorker = worker
    if (this.#seen.size < 1_024) this.#seen.add(worker)
  }

  /** Connections that answered lately; 0: none yet. */
  workers(monotonic: number): number {
    if (monotonic >= this.#turnAt) {
      this.#before = this.#turnAt === 0 ? 0 : this.#seen.size
      this.#seen = new Set(this.#lastWorker === 0 ? [] : [this.#lastWorker])
      this.#turnAt = monotonic + forgetMs
    }
    return Math.max(this.#before, this.#seen.size)
  }

  room(bytes: number): Buffer {
    const slab = this.slab
    if (slab !== undefined && this.end + bytes <= slab.length) return slab
    const next = Buffer.allocUnsafe(Math.max(this.hint, (this.end + bytes) * 2))
    if (slab !== undefined) next.set(slab.subarray(0, this.end))
    this.slab = next
    return next
  }
}

/** Routes by subject: a subject that was found well-formed is not looked at again. */
export class Routes {
  readonly #routes = new Map<string, Route>()
  readonly #plain: readonly string[]
  readonly #inboxPrefix: string

  constructor(plain: readonly string[], inboxPrefix: string) {
    this.#plain = plain
    this.#inboxPrefix = inboxPrefix
  }

  /** @throws CloudError `core.bus.invalid-subject`, `core.bus.refused` for a subject of the bus itself. */
  of(subject: string): Route {
    const known = this.#routes.get(subject)
    if (known !== undefined) return known
    checkSubject(subject)
    if (this.internal(subject))
      throw new CloudError('core.bus.refused', `${subject.slice(0, 80)} is a subject of the bus itself`, {
        field: 'subject',
      })
    const route = new Route(subject, coveredBy(this.#plain, subject))
    // A route with calls waiting for this tick's end stays alive through them.
    if (this.#routes.size >= maxRoutes) this.#routes.clear()
    this.#routes.set(subject, route)
    return route
  }

  /** True for what a wildcard must not show. */
  internal(subject: string): boolean {
    return (
      subject.startsWith(`${controlToken}.`) || subject.startsWith(`${this.#inboxPrefix}.`) || subject.startsWith('$')
    )
  }
}
