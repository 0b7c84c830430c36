import type { Clock } from '../kernel/clock.js'
import type { CallOptions } from '../kernel/context.js'
import type { Ids } from '../kernel/ids.js'
import { factsOf, operationsOf, runLocalCall, unobserved } from './call.js'
import { callPlace } from './call-scope.js'
import type { Client, Contract, Handlers } from './contract.js'
import { localStream } from './local-stream.js'
import type { CallObserver } from './observer.js'

export interface LocalClientOptions<C extends Contract> {
  readonly contract: C
  readonly handlers: Handlers<C>
  readonly clock: Clock
  readonly ids: Ids
  readonly observer?: CallObserver
}

/**
 * A client of a service in this process: the handler is called directly, nothing is serialised or validated.
 * Deadline, cancellation and context are the same as over the bus. The scope is checked when an actor is given.
 */
export function localClient<C extends Contract>(options: LocalClientOptions<C>): Client<C> {
  const { contract, clock, ids } = options
  const place = callPlace(clock, ids)
  const client: Record<string, (...args: never[]) => unknown> = {}
  for (const [name, operation] of operationsOf(contract, options.handlers)) {
    const { name: of, version } = contract
    const observer =
      options.observer?.operation({ contract: of, version, method: name, surface: 'local', side: 'server' }) ??
      unobserved
    const { method } = operation
    client[name] =
      method.stream === undefined
        ? (input: unknown, call?: CallOptions) =>
            runLocalCall(operation, input, factsOf(call, method, clock), place, observer)
        : localStream(operation, method.stream, place, observer)
  }
  return client as Client<C>
}
