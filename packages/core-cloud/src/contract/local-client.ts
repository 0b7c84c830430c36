import type { Clock } from '../kernel/clock.js'
import type { CallOptions } from '../kernel/context.js'
import type { Ids } from '../kernel/ids.js'
import { checkScope, factsOf, localError, operationsOf, runCall } from './call.js'
import type { Client, Contract, Handlers } from './contract.js'

/**
 * A client of a service in this process: the handler is called directly, nothing is serialised or validated.
 * Deadline, cancellation and context are the same as over the bus. The scope is checked when an actor is given.
 */
export function localClient<C extends Contract>(options: {
  readonly contract: C
  readonly handlers: Handlers<C>
  readonly clock: Clock
  readonly ids: Ids
}): Client<C> {
  const { clock, ids } = options
  const client: Record<string, (input: unknown, call?: CallOptions) => Promise<unknown>> = {}
  for (const [name, operation] of operationsOf(options.contract, options.handlers)) {
    client[name] = async (input, call) => {
      checkScope(operation, call?.actor)
      try {
        return await runCall(operation, input, factsOf(call, operation.method, clock, ids), clock)
      } catch (error) {
        throw localError(error, operation)
      }
    }
  }
  return client as Client<C>
}
