import type { IncomingHttpHeaders } from 'node:http'
import type { Contract } from '@aaas/core-cloud/contract'
import type { Clock } from '@aaas/core-cloud/kernel'
import { BoundedMap } from '@aaas/support-cloud/cache'

/** A contract whose answers may be kept. */
export interface KeptContract {
  /**
   * Its GET methods without a scope are kept: their answers must depend on the input alone, never on who asks, and change
   * only with the revision or within two seconds.
   */
  readonly contract: Contract
  /** A number that stays while nothing changed; at once, or after looking. */
  readonly revision: () => number | Promise<number>
}

interface Kept {
  /** JSON in UTF-8, one character a byte. */
  readonly text: string
  readonly revision: number
  readonly freshUntil: number
}

const maxBytes = 8 * 1024 * 1024
/** What an entry costs besides its text. */
const entryBytes = 200
const maxKeyLength = 500
const keptMs = 2_000

/** Serialised answers by path and query: most reads of an API end here, without a handler and without JSON. */
export class KeptAnswers {
  readonly #answers = new BoundedMap<Kept>(maxBytes)
  readonly #methods: ReadonlySet<string>
  readonly #clock: Clock
  readonly #revision: KeptContract['revision']

  constructor({ contract, revision }: KeptContract, clock: Clock) {
    this.#clock = clock
    this.#revision = revision
    this.#methods = new Set(
      Object.entries(contract.methods)
        .filter(([, method]) => method.http?.verb === 'GET' && method.scope === undefined)
        .map(([name]) => `${contract.name}.${name}`),
    )
  }

  /** Answers of this method may be kept. @param label - `<contract>.<method>`. */
  keeps(label: string): boolean {
    return this.#methods.has(label)
  }

  /** False for requests whose headers ask for something of their own, which a kept answer would not hear. */
  mayAsk(method: string | undefined, headers: IncomingHttpHeaders): boolean {
    return (
      method === 'GET' &&
      headers['x-deadline-ms'] === undefined &&
      headers['idempotency-key'] === undefined &&
      headers['content-length'] === undefined &&
      headers['transfer-encoding'] === undefined
    )
  }

  /** The body for a path with its query, when it is known to be right. */
  find(target: string): string | undefined {
    const kept = this.#answers.get(target)
    if (kept === undefined || kept.freshUntil <= this.#clock.monotonic()) return undefined
    const revision = this.#revision()
    // Whoever has to wait asks the handler, and hears of a failure there.
    if (typeof revision !== 'number') revision.catch(() => undefined)
    return kept.revision === revision ? kept.text : undefined
  }

  /** What {@link keep} wants to know of the time before the answer was made; undefined: it will not be kept. */
  before(target: string): { readonly revision: number; readonly freshUntil: number } | undefined {
    if (target.length > maxKeyLength) return undefined
    const revision = this.#revision()
    if (typeof revision === 'number') return { revision, freshUntil: this.#clock.monotonic() + keptMs }
    revision.catch(() => undefined)
    return undefined
  }

  /** @returns the body, one character a byte. */
  keep(target: string, body: string, before: NonNullable<ReturnType<KeptAnswers['before']>>): string {
    const text = Buffer.from(body).toString('latin1')
    this.#answers.set(target, { text, ...before }, text.length + target.length + entryBytes)
    return text
  }
}
