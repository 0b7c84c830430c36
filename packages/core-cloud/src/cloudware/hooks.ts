import type { TSchema } from 'typebox'
import { CloudError } from '../kernel/errors.js'
import type { View } from './cloudware.js'

/** An extension point of a service centre. */
export interface Hook {
  /** `centre.hook@major` */
  readonly name: string
  readonly kind: 'validate' | 'transform' | 'provide' | 'on' | 'view'
  readonly summary: string
  readonly input: TSchema
  /** Of a `transform` or `provide`. */
  readonly output?: TSchema
}

/** How one loaded package does; the console shows it. */
export interface CloudwareStatus {
  readonly name: string
  readonly version: string
  readonly digest: string
  readonly state: 'starting' | 'ready' | 'backoff' | 'stopping'
  readonly hooks: readonly string[]
  readonly calls: number
  readonly failures: number
  readonly restarts: number
  /** Highest resident memory seen, bytes. */
  readonly memoryBytes: number
  readonly lastError?: string
}

/**
 * Where a program calls the packages that extend it. A hook without handlers costs one map look-up.
 * A handler that fails, hangs or is gone is treated by its declared failure mode and never harms another.
 */
export interface HookHost {
  /** True when at least one handler is registered now. */
  has(hook: string): boolean
  /**
   * Runs the handlers in order; the first veto ends the chain.
   * @throws CloudError `core.cloudware.vetoed` with the handler's message and field, or
   *   `core.cloudware.hook-failed` when a handler with failure mode `closed` failed.
   */
  validate(hook: Hook, input: unknown): Promise<void>
  /** Pipes the value through the handlers; each result is checked against `hook.output`, a wrong one counts as a failure. */
  transform<T>(hook: Hook, value: T): Promise<T>
  /**
   * Delivers an event to one package.
   * @param consumer - package name as {@link HookHost.consumers} gave it.
   * @throws when the handler did not acknowledge; the caller retries and dead-letters.
   */
  deliver(hook: Hook, consumer: string, event: { readonly id: string; readonly data: unknown }): Promise<void>
  /** Packages that want an event now. */
  consumers(hook: string): readonly string[]
  /**
   * Asks the handlers in order for a value; the first that answers decides, each answer is checked against `hook.output`.
   * @returns undefined when no package provides one: the caller takes its own default.
   * @throws CloudError `core.cloudware.hook-failed` when a handler with failure mode `closed` failed.
   */
  provide<T>(hook: Hook, input: unknown): Promise<T | undefined>
  /** Views of every package that answers in time, in order. */
  views(hook: Hook, input: unknown): Promise<readonly { readonly package: string; readonly view: View }[]>
  status(): readonly CloudwareStatus[]
}

const hookNamePattern = /^[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*@\d+$/

/** Checks a hook at definition time (a programmer mistake throws a plain Error) and returns it. */
export function defineHook(hook: Hook): Hook {
  if (!hookNamePattern.test(hook.name)) throw new Error(`hook name '${hook.name}' must look like centre.hook@major`)
  const needsOutput = hook.kind === 'transform' || hook.kind === 'provide'
  if (needsOutput !== (hook.output !== undefined)) {
    throw new Error(`${hook.name}: a ${hook.kind} hook ${needsOutput ? 'needs' : 'has no'} output schema`)
  }
  return hook
}

/** A hook host without packages: for programs that run alone, and for tests. */
export const noHooks: HookHost = {
  has: () => false,
  validate: async () => undefined,
  transform: async (_hook, value) => value,
  provide: async () => undefined,
  deliver: async (hook, consumer) => {
    throw new CloudError('core.cloudware.hook-failed', `${consumer}: is not loaded`, { details: { hook: hook.name } })
  },
  consumers: () => [],
  views: async () => [],
  status: () => [],
}
