/** Counts calls of a port's methods and makes one of them fail. */
export interface FailPlan {
  /** Calls seen so far. */
  readonly calls: number
}

/**
 * Wraps a port so that its `nth` asynchronous call (from 1) fails, before (`when: 'before'`) or after its effect.
 * Loop `nth` upward until the operation passes, and check invariants each time.
 */
export function failNth<T extends object>(
  port: T,
  options: { readonly nth: number; readonly error: () => Error; readonly when?: 'before' | 'after' },
): { readonly port: T; readonly plan: FailPlan } {
  const plan = { calls: 0 }
  const proxy = new Proxy(port, {
    get(target, key, receiver) {
      const value: unknown = Reflect.get(target, key, receiver)
      if (typeof value !== 'function' || typeof key === 'symbol') return value
      return (...args: unknown[]) => {
        plan.calls += 1
        const fails = plan.calls === options.nth
        if (fails && options.when !== 'after') return Promise.reject(options.error())
        const result: unknown = Reflect.apply(value, target, args)
        return fails ? Promise.resolve(result).then(() => Promise.reject(options.error())) : result
      }
    },
  })
  return { port: proxy, plan }
}
