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
  /** 32 hexadecimal digits: the trace id of `traceparent`. */
  readonly traceId: string
  /** W3C Trace Context of the call being served; nested calls send it on. */
  readonly traceparent?: string
  /** What tracing systems add to it; at most 512 characters. */
  readonly tracestate?: string
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
  /** 32 hexadecimal digits; anything else is replaced by a new one. */
  readonly traceId?: string
  /** W3C Trace Context of what the call is part of; wins over `traceId`. A malformed one is left out. */
  readonly traceparent?: string
  readonly tracestate?: string
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
    ...(context.traceparent === undefined ? {} : { traceparent: context.traceparent }),
    ...(context.tracestate === undefined ? {} : { tracestate: context.tracestate }),
    ...(context.tenant === undefined ? {} : { tenant: context.tenant }),
    ...(context.actor === undefined ? {} : { actor: context.actor }),
  }
}
