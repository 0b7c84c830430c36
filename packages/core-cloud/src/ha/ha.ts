import type { Contract } from '@aaas/core-cloud/contract'
import type { Clock } from '../kernel/clock.js'
import type { Ids } from '../kernel/ids.js'
import { type Logger, silentLogger } from '../kernel/logger.js'
import { checkName, invalid } from './coordination/checks.js'
import type { Coordination } from './coordination.js'
import type { WrapPlace } from './wrap/place.js'
import { type ReplicatedOptions, type ReplicatedService, replicatedService } from './wrap/replicated.js'
import { type SingletonOptions, type SingletonService, singletonService } from './wrap/singleton.js'
import { type StatelessOptions, type StatelessService, statelessService } from './wrap/stateless.js'

export interface HaOptions extends Partial<Omit<WrapPlace, 'clock' | 'ids' | 'logger'>> {
  readonly clock: Clock
  readonly ids: Ids
  readonly logger?: Logger
  /** First tokens of the subjects of all wrapped services, default `ha`: the same in all programs that belong together. */
  readonly prefix?: string
  /** Where this program runs: instances of the same zone go first. */
  readonly zone?: string
  /** Elects singletons. Stays the caller's to dispose. */
  readonly coordination?: Coordination
}

/** Makes one service of any set of equal ones. */
export interface Ha extends AsyncDisposable {
  /**
   * Equal instances that remember nothing: each call goes to a good one, and on to another one when it failed.
   * @throws CloudError `core.ha.invalid-argument`.
   */
  wrap<C extends Contract>(contract: C, options: StatelessOptions<C>): StatelessService<C>
  /**
   * One instance at a time, elected, with a fencing token.
   * @throws CloudError `core.ha.invalid-argument` without a coordination or a bus.
   */
  wrap<C extends Contract>(contract: C, options: SingletonOptions): SingletonService<C>
  /**
   * A state machine that every member of a group computes: no acknowledged command is lost with a minority of them.
   * @throws CloudError `core.ha.invalid-argument`, `core.ha.no-quorum`.
   */
  wrap<C extends Contract, S>(contract: C, options: ReplicatedOptions<C, S>): ReplicatedService<C>
}

/**
 * @example
 * const ha = openHa({ clock, ids, bus })
 * const sms = ha.wrap(smsContract, { mode: 'stateless' })
 * await sms.provide({ send: async ({ to }) => ({ id: await gateway(to) }) }) // in every instance
 * await sms.client.send({ to: '+8613800000000' }) // anywhere
 *
 * @throws CloudError `core.ha.invalid-argument`.
 */
export function openHa(options: HaOptions): Ha {
  const { prefix = 'ha', zone, coordination, logger = silentLogger } = options
  checkName(prefix, 'prefix')
  if (zone !== undefined) checkName(zone, 'zone')
  const place: WrapPlace = { ...options, prefix, logger: logger.child({ component: 'ha' }) }
  const opened: AsyncDisposable[] = []
  const wrap = (
    contract: Contract,
    how: StatelessOptions<Contract> | SingletonOptions | ReplicatedOptions<Contract, unknown>,
  ) => {
    switch (how.mode) {
      case 'stateless':
        return statelessService(contract, place, how)
      case 'singleton':
        return singletonService(contract, place, coordination, how)
      case 'replicated':
        return replicatedService(contract, place, how)
      default:
        throw invalid('mode', 'it is stateless, singleton or replicated')
    }
  }
  return {
    wrap: ((contract: Contract, how: Parameters<typeof wrap>[1]) => {
      const service = wrap(contract, how)
      opened.push(service)
      return service
    }) as unknown as Ha['wrap'],
    async [Symbol.asyncDispose]() {
      for (const service of opened.splice(0).reverse()) await service[Symbol.asyncDispose]()
    },
  }
}
