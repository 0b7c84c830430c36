import type { ReadLevel } from './replica.js'

/**
 * Leases, locks, elections and small keys and values among processes that trust each other. Three drivers: our own
 * consensus (`raftCoordination`), NATS (`@aaas/core-cloud/ha/nats-kv`), Kubernetes (`@aaas/core-cloud/ha/kubernetes`).
 *
 * A lease never proves to anybody else that it is held: its holder may have been paused for an hour before its next line.
 * So each grant has a fencing token, which rises with every grant of the name for ever, over all restarts; whatever is
 * written under a lease carries it, and who takes the write refuses a token lower than one it has seen (see `Fence`).
 *
 * Names and keys are tokens of `A-Z a-z 0-9 _ -` joined by dots, at most 150 characters, else `core.ha.invalid-argument`
 * with the field. A lease, a lock and an election of one name are one thing: it has at most one holder.
 *
 * All calls reject with `core.ha.unavailable` (nothing was done; retryable), `core.ha.outcome-unknown` and, after
 * disposing, `core.ha.stopped`. Disposing releases what is held.
 */
export interface Coordination extends AsyncDisposable {
  readonly driver: string
  readonly features: CoordinationFeatures
  /** Tries once. @returns undefined when somebody else has it. @throws CloudError `core.ha.invalid-argument`. */
  lease(name: string, options?: LeaseOptions): Promise<Lease | undefined>
  /**
   * Waits in line until it is ours.
   * @throws CloudError `core.contract.deadline-exceeded`, `core.contract.cancelled`, `core.ha.overloaded` (the line is
   *   full), `core.ha.invalid-argument`.
   */
  lock(name: string, options?: LockOptions): Promise<Lease>
  /**
   * Stands for election until stopped: whenever it is won, `lead` is called with the lease, and when that returns or
   * throws, the lease is released and the candidate stands again, behind the others. `lead` must end soon after
   * `lease.signal` has fired; the next term waits for it.
   * @throws CloudError `core.ha.invalid-argument`.
   */
  elect(name: string, options: ElectOptions, lead: (lease: Lease) => Promise<void>): Candidacy
  /** Who holds the name now; undefined: nobody. */
  holder(name: string): Promise<Holder | undefined>
  /**
   * The present holder, then every new one; holders that come and go quickly may be left out. Ends with `signal`.
   * @throws CloudError `core.ha.stopped` when the coordination is disposed.
   */
  holders(name: string, options?: { readonly signal?: AbortSignal }): AsyncIterable<Holder | undefined>
  /** Absent where the driver keeps leases only. */
  readonly keys?: KeyValue
}

/** What a driver does beyond the least. */
export interface CoordinationFeatures {
  /** Waiting locks and elections are served in the order in which they came; otherwise whoever is first. */
  readonly fair: boolean
  /** Keys may have a lifetime of their own. */
  readonly keyTtl: boolean
  /** Watchers see every change; otherwise at least the last of each key. */
  readonly everyChange: boolean
}

export interface LeaseOptions {
  /** Milliseconds without a renewal after which somebody else may have it, 1_000 to 3_600_000; default 10_000. */
  readonly ttlMs?: number
  /** What others see of the holder, such as its address; at most 1_024 bytes. Default empty. */
  readonly value?: string
}

export interface LockOptions extends LeaseOptions {
  /** Absolute epoch milliseconds; default: waits for ever. */
  readonly deadline?: number
  readonly signal?: AbortSignal
}

export interface ElectOptions extends LeaseOptions {
  /** Ends the candidacy as `stop` does. */
  readonly signal?: AbortSignal
}

/** Who has a name. */
export interface Holder {
  /** Name of the node, as given to its coordination. */
  readonly node: string
  readonly token: number
  readonly value: string
}

/** A name that is held. It is renewed by itself until it is released or lost; disposing releases it. */
export interface Lease extends AsyncDisposable {
  readonly name: string
  /** Fencing token: 1 to 2^53 - 1; higher than that of every earlier grant of the name. */
  readonly token: number
  /**
   * Aborts while the lease still lasts for one round trip and for the drift of clocks: what the holder has sent by then
   * arrives in time. Its reason is a CloudError: `core.ha.lost`, or `core.ha.stopped` after `release`.
   */
  readonly signal: AbortSignal
  /** Monotonic milliseconds of the own clock until which, as known now, the holder may act. Rises with renewals. */
  readonly safeUntil: number
  /**
   * Call it right before an effect: after a pause of the process, code goes on before the timers of `signal` fire.
   * @throws CloudError `core.ha.lost`, `core.ha.stopped` after `release`.
   */
  assertHeld(): void
  /** Gives it to the next one at once. When nobody can be told, it ends by itself. Never rejects. */
  release(): Promise<void>
}

export interface Candidacy extends AsyncDisposable {
  /** Present while elected. */
  readonly lease: Lease | undefined
  /** Stands no more; an elected one is told by its signal, and this resolves when `lead` has ended. */
  stop(): Promise<void>
}

export interface KeyEntry {
  readonly key: string
  readonly value: Uint8Array
  /** Rises with every change of any key. */
  readonly revision: number
}

export type KeyChange =
  | ({ readonly kind: 'put' } & KeyEntry)
  | { readonly kind: 'delete'; readonly key: string; readonly revision: number }

export interface PutOptions {
  /** Only when the key has this revision; 0: only when it is not there. Otherwise `core.ha.conflict`. */
  readonly expect?: number
  /** Milliseconds after which it is gone, 1_000 to 86_400_000. @throws `core.ha.unsupported` without `keyTtl`. */
  readonly ttlMs?: number
}

/** Keys and small values with compare-and-set. Values are at most 262_144 bytes (`core.ha.too-large`). */
export interface KeyValue {
  /** @param options.level - default `linearizable`; `stale` answers from what this node knows. */
  get(key: string, options?: { readonly level?: ReadLevel }): Promise<KeyEntry | undefined>
  /** @returns the revision. @throws CloudError `core.ha.conflict`, `core.ha.full`, `core.ha.too-large`. */
  put(key: string, value: Uint8Array, options?: PutOptions): Promise<number>
  /** @returns whether it was there. @throws CloudError `core.ha.conflict`. */
  delete(key: string, options?: Pick<PutOptions, 'expect'>): Promise<boolean>
  /**
   * All keys below a folder (`a` has `a.b` and `a.b.c`, not `a`), or all, sorted; at most 10_000.
   * @returns with a revision from which a watcher misses nothing.
   */
  list(folder?: string): Promise<{ readonly entries: readonly KeyEntry[]; readonly revision: number }>
  /**
   * Changes behind revision `from` (default: from now on) of the keys below a folder, or of all, in order. Read them
   * steadily. Ends with `signal`.
   * @throws CloudError `core.ha.compacted` when what follows `from` is not kept any more: list again; `core.ha.stopped`.
   */
  watch(folder?: string, options?: { readonly from?: number; readonly signal?: AbortSignal }): AsyncIterable<KeyChange>
}
