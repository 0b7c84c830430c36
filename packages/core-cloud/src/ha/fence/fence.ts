import { CloudError } from '../../kernel/errors.js'
import { checkName, invalid } from '../coordination/checks.js'

/** What a write under a lease carries. A `Lease` is one. */
export interface FencingToken {
  readonly name: string
  /** 1 to 2^53 - 1. */
  readonly token: number
}

/**
 * Remembers, beside a resource, the highest fencing token that it has seen of each name, and refuses lower ones: a holder
 * that was replaced and does not know it yet cannot write any more. The check and the write have to be one step for the
 * resource: how, each implementation says.
 */
export interface Fence {
  /**
   * Resolves when no higher token was seen; remembers this one.
   * @throws CloudError `core.ha.fenced`, `core.ha.invalid-argument`.
   */
  pass(token: FencingToken): Promise<void>
}

/** @throws CloudError `core.ha.invalid-argument`. */
export function checkToken({ name, token }: FencingToken): void {
  checkName(name, 'name')
  if (!Number.isSafeInteger(token) || token < 1) throw invalid('token', `${token} is not a whole number from 1`)
}

export function fenced({ name, token }: FencingToken, highest?: number): CloudError {
  const seen = highest === undefined ? 'a higher one was' : `${highest} was`
  return new CloudError('core.ha.fenced', `token ${token} of ${name} comes too late: ${seen} seen`, {
    field: 'token',
    ...(highest === undefined ? {} : { details: { highest } }),
  })
}

/**
 * For a resource in this process: check and write in one turn of the event loop. Forgets with the process.
 * @param options.maxNames - default 10_000; beyond: `core.ha.full`. None may be forgotten: it could be written to late.
 */
export function memoryFence({ maxNames = 10_000 }: { readonly maxNames?: number } = {}): Fence & {
  /** The same at once. */
  passNow(token: FencingToken): void
} {
  const highest = new Map<string, number>()
  const passNow = (token: FencingToken): void => {
    checkToken(token)
    const seen = highest.get(token.name)
    if (seen !== undefined && token.token < seen) throw fenced(token, seen)
    if (seen === undefined && highest.size >= maxNames)
      throw new CloudError('core.ha.full', `tokens of ${maxNames} names are remembered already`, { field: 'name' })
    highest.set(token.name, token.token)
  }
  return { passNow, pass: async token => passNow(token) }
}
