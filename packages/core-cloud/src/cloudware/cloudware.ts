import type { Logger } from '../kernel/logger.js'

/** Small values a package keeps; shared by all instances of the site, namespaced by package. JSON values up to 64 KiB. */
export interface CloudwareState {
  get(key: string): Promise<unknown>
  put(key: string, value: unknown): Promise<void>
  /** Adds `by` to an integer kept under `key` (0 when absent) in one atomic step. @returns the new value. */
  increment(key: string, by: number): Promise<number>
}

/** What a handler returns for `validate`. */
export type Verdict = { readonly ok: true } | { readonly ok: false; readonly message: string; readonly field?: string }

/** A block of a `view`: data, not markup, so that no package can inject script into a page. */
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
 * `validate` returns a {@link Verdict}, `transform` the changed value, `on` nothing, `view` a {@link View}.
 */
export type HookHandler = (input: unknown, call: { readonly signal: AbortSignal; readonly eventId?: string }) => unknown

export interface CloudwareContext {
  readonly config: unknown
  readonly logger: Logger
  readonly state: CloudwareState
  /** Registers the handler of a hook that the manifest names. */
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
