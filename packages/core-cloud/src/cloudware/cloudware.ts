import type { Logger } from '../kernel/logger.js'

/**
 * Small values a package keeps; shared by all instances of the site, namespaced by package.
 * Keys are 1 to 200 characters; values are JSON of at most 64 KiB; integers stay within the safe range.
 */
export interface CloudwareState {
  /** @returns the value, or undefined when absent. The caller owns what it gets. */
  get(key: string): Promise<unknown>
  put(key: string, value: unknown): Promise<void>
  /** Adds `by` to an integer kept under `key` (0 when absent) in one atomic step. @returns the new value. */
  increment(key: string, by: number): Promise<number>
  /**
   * Like `increment`, but only the first time for this `key` and `once`, such as the id of an event that may be delivered
   * again: marker and sum change in the same atomic step.
   * @param once - 1 to 200 characters.
   * @returns the value after it, changed or not.
   */
  incrementOnce(key: string, by: number, once: string): Promise<number>
}

/** What a handler returns for `validate`. */
export type Verdict = { readonly ok: true } | { readonly ok: false; readonly message: string; readonly field?: string }

/**
 * A block of a `view`: data, not markup, so that no package can inject script into a page.
 * At most 50 blocks a view; 12 columns and 200 rows a table; 1_000 characters a text.
 */
export type ViewBlock =
  | { readonly type: 'heading'; readonly text: string }
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'metric'; readonly label: string; readonly value: string }
  | { readonly type: 'table'; readonly columns: readonly string[]; readonly rows: readonly (readonly string[])[] }
  | { readonly type: 'notice'; readonly tone: 'info' | 'good' | 'warn'; readonly text: string }

/** What a handler returns for `view`. */
export interface View {
  readonly title: string
  readonly blocks: readonly ViewBlock[]
}

/**
 * Answers one hook. Input and output are those the hook declares:
 * `validate` returns a {@link Verdict}, `transform` the changed value, `provide` the value asked for, `on` nothing,
 * `view` a {@link View}. Values travel as JSON.
 */
export type HookHandler = (input: unknown, call: HookCall) => unknown

/** What a handler may know of one call. */
export interface HookCall {
  /** Aborts when the deadline has passed or the caller is gone; the answer is then ignored. */
  readonly signal: AbortSignal
  /** Of an `on` handler: the same for each delivery of the same event. */
  readonly eventId?: string
}

export interface CloudwareContext {
  readonly config: unknown
  readonly logger: Logger
  readonly state: CloudwareState
  /** Registers the handler of a hook that the manifest names. @throws for any other, and for a second handler. */
  register(hook: string, handler: HookHandler): void
}

/** A package that extends a running program without changing it. */
export interface Cloudware {
  readonly name: string
  /** Registers handlers; what it opens it returns, so that it can be closed. */
  start(context: CloudwareContext): Promise<AsyncDisposable | undefined> | AsyncDisposable | undefined
}

/** Keeps the literal type; the default export or the export `cloudware` of a package's entry. */
export function defineCloudware(cloudware: Cloudware): Cloudware {
  return cloudware
}
