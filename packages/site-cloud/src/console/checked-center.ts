import { checkInput, type Handlers, localClient } from '@aaas/core-cloud/contract'
import type { CallOptions, Clock, Ids } from '@aaas/core-cloud/kernel'
import { siteCenterContract } from '../site-center/site-center-contract.js'
import type { Center } from './view.js'

type AnyCall = (input: unknown, options?: CallOptions) => Promise<unknown>

/**
 * The site centre as forms and addresses may use it. The console is a trust boundary like the HTTP API: each call is
 * checked against the contract's schema and the scope of its method, whatever page it comes from.
 */
export function checkedCenter(options: {
  readonly center: Handlers<typeof siteCenterContract>
  readonly clock: Clock
  readonly ids: Ids
}): Center {
  const { center, clock, ids } = options
  const inner = localClient({ contract: siteCenterContract, handlers: center, clock, ids }) as Readonly<
    Record<string, AnyCall>
  >
  const client: Record<string, AnyCall> = {}
  for (const [name, method] of Object.entries(siteCenterContract.methods)) {
    client[name] = async (input, call) => {
      checkInput(method.input, input, name)
      return (inner[name] as AnyCall)(input, call)
    }
  }
  return client as Center
}
