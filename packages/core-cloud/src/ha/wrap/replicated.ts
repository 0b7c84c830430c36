import type { Client, Contract, Handlers } from '@aaas/core-cloud/contract'
import { type CallOptions, CloudError } from '@aaas/core-cloud/kernel'
import { invalid } from '../coordination/checks.js'
import type { ReadLevel, Replica } from '../replica.js'
import type { CallingOptions } from './balanced-client.js'
import { cancelled, deadlineOf } from './balanced-client.js'
import { ContractMachine, type MachineDefinition } from './contract-machine.js'
import type { AnyCall } from './endpoints.js'
import type { WrapPlace } from './place.js'
import { type ServingOptions, statelessService } from './stateless.js'

export interface ReplicatedOptions<C extends Contract, S> extends CallingOptions {
  readonly mode: 'replicated'
  readonly definition: MachineDefinition<C, S>
  /** When this process is a member of the group: its replica, whose state machine is `machine`. */
  readonly member?: { readonly replica: Replica; readonly machine: ContractMachine<C, S> }
  /**
   * How new the answer of a query is: `linearizable` (default) has every command acknowledged before the call, `lease`
   * the same as long as clocks go nearly alike, `stale` what this member knows.
   */
  readonly read?: ReadLevel | { readonly [K in keyof C['methods']]?: ReadLevel }
}

/** A service that every member of a group computes. */
export interface ReplicatedService<C extends Contract> extends AsyncDisposable {
  /** On a member its own, elsewhere balanced over the members. Beyond the contract's errors those of `Replica`. */
  readonly client: Client<C>
  /** Serves as one of the members, on the bus. @throws CloudError `core.ha.invalid-argument` when it is none. */
  provide(options?: ServingOptions): Promise<AsyncDisposable>
}

const levels: readonly unknown[] = ['linearizable', 'lease', 'stale']

/** @throws CloudError `core.ha.invalid-argument`, `core.ha.no-quorum` for a group of two voters. */
export function replicatedService<C extends Contract, S>(
  contract: C,
  place: WrapPlace,
  options: ReplicatedOptions<C, S>,
): ReplicatedService<C> {
  const { definition, member, read = 'linearizable' } = options
  if (definition.contract.name !== contract.name)
    throw invalid('definition', `it is of ${definition.contract.name}, not of ${contract.name}`)
  for (const level of typeof read === 'string' ? [read] : Object.values(read))
    if (!levels.includes(level)) throw invalid('read', 'it is linearizable, lease or stale')
  if (member === undefined && place.bus === undefined) throw invalid('bus', 'the members are reached over a bus')
  if (member?.replica.status.membership.voters.length === 2)
    throw new CloudError('core.ha.no-quorum', `${contract.name}: two voters stop when one of them does`, {
      field: 'member',
    })
  const isQuery = (method: string): boolean => method in definition.queries
  const isIdempotent = (method: string): boolean => isQuery(method) || contract.methods[method]?.idempotent === true
  const calling = { ...options, mode: 'stateless' as const }
  const remote = place.bus === undefined ? undefined : statelessService(contract, place, calling, isIdempotent)
  const own = member === undefined ? undefined : memberClient(contract, place, member, read)
  return {
    client: own ?? (remote as NonNullable<typeof remote>).client,
    async provide(how) {
      if (own === undefined || remote === undefined) throw invalid('member', 'only a member on a bus serves others')
      return await remote.provide(handlersOf(contract, own), how)
    },
    async [Symbol.asyncDispose]() {
      await remote?.[Symbol.asyncDispose]()
    },
  }
}

function memberClient<C extends Contract, S>(
  contract: C,
  { clock }: WrapPlace,
  { replica, machine }: NonNullable<ReplicatedOptions<C, S>['member']>,
  read: NonNullable<ReplicatedOptions<C, S>['read']>,
): Client<C> {
  const client: Record<string, AnyCall> = {}
  for (const [name, method] of Object.entries(contract.methods)) {
    const limitsOf = (call: CallOptions) => {
      const { signal } = call
      if (signal?.aborted === true) throw cancelled(`${contract.name}.${name}`, signal)
      return { deadline: deadlineOf(clock, method, call), ...(signal === undefined ? {} : { signal }) }
    }
    const level = typeof read === 'string' ? read : (read[name] ?? 'linearizable')
    client[name] =
      name in machine.definition.queries
        ? async (input, call = {}) => {
            await replica.read(level, limitsOf(call as CallOptions))
            return machine.query(name, input)
          }
        : async (input, call = {}) => {
            const { result } = await replica.propose(
              machine.command(name, input, clock.now()),
              limitsOf(call as CallOptions),
            )
            return ContractMachine.result(result)
          }
  }
  return client as Client<C>
}

/** The client of a member as what it serves to others. */
function handlersOf<C extends Contract>(contract: C, client: Client<C>): Handlers<C> {
  const calls = client as unknown as Readonly<Record<string, AnyCall>>
  const handlers = Object.keys(contract.methods).map(name => [
    name,
    (input: unknown, { deadline, signal }: { readonly deadline: number; readonly signal: AbortSignal }) =>
      (calls[name] as AnyCall)(input, { deadline, signal }),
  ])
  return Object.fromEntries(handlers) as unknown as Handlers<C>
}
