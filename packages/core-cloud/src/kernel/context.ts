/** Who calls. `scopes` are what the caller may do; `*` means everything. */
export interface Actor {
  readonly id: string
  readonly scopes: readonly string[]
}

/**
 * What travels with every call, on every surface.
 * Deadlines are absolute epoch milliseconds so that they survive hops.
 */
export interface CallContext {
  readonly traceId: string
  /** The site or platform part on whose behalf the call runs; undefined inside a site's own program. */
  readonly tenant?: string
  readonly actor?: Actor
  readonly deadline: number
  readonly idempotencyKey?: string
  readonly signal: AbortSignal
}

/** What a caller may say about one call. */
export interface CallOptions {
  readonly signal?: AbortSignal
  /** Absolute epoch milliseconds; default now + the method's `deadlineMs`. A nested call never outlives its parent's. */
  readonly deadline?: number
  readonly idempotencyKey?: string
  readonly traceId?: string
  readonly tenant?: string
  readonly actor?: Actor
}

/** Options for a nested call that inherits everything from the call being served. */
export function inherit(context: CallContext): CallOptions {
  return {
    // Many calls make their signal on first use: nobody may ask for it.
    get signal() {
      return context.signal
    },
    deadline: context.deadline,
    traceId: context.traceId,
    ...(context.tenant === undefined ? {} : { tenant: context.tenant }),
    ...(context.actor === undefined ? {} : { actor: context.actor }),
  }
}
