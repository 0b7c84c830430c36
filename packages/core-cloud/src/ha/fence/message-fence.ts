import { invalid } from '../coordination/checks.js'
import type { Fence, FencingToken } from './fence.js'

type Headers = Readonly<Record<string, string>>

const nameHeader = 'fence-name'
const tokenHeader = 'fence-token'

/** Headers of a message that is sent under a lease. */
export function fenceHeaders({ name, token }: FencingToken): Headers {
  return { [nameHeader]: name, [tokenHeader]: String(token) }
}

/** The token that a message carries; undefined: none. @throws CloudError `core.ha.invalid-argument`. */
export function tokenIn(headers: Headers): FencingToken | undefined {
  const name = headers[nameHeader]
  const text = headers[tokenHeader]
  if (name === undefined && text === undefined) return undefined
  if (name === undefined || text === undefined || !/^[1-9]\d{0,15}$/.test(text))
    throw invalid('token', 'the message has half a fencing token')
  return { name, token: Number(text) }
}

/**
 * A consumer that handles messages of the present holder only. One that comes too late is handed to `late`, which
 * settles it (default: it is left out without a word); one without a token is an error, since whoever sends it has no
 * lease. The fence has to outlast the consumer: one in its database, passed in the transaction of its effect, also holds
 * over a restart.
 */
export function fencedConsumer<M extends { readonly headers: Headers }>(
  fence: Fence,
  name: string,
  handle: (message: M, token: FencingToken) => Promise<void>,
  late: (message: M, token: FencingToken) => void | Promise<void> = () => undefined,
): (message: M) => Promise<void> {
  return async message => {
    const token = tokenIn(message.headers)
    if (token === undefined || token.name !== name) throw invalid('name', `the message carries no token of ${name}`)
    try {
      await fence.pass(token)
    } catch (error) {
      if (!isFenced(error)) throw error
      await late(message, token)
      return
    }
    await handle(message, token)
  }
}

function isFenced(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'core.ha.fenced'
}
