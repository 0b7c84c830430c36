import { ContainerModule, type ServiceIdentifier } from 'inversify'
import { ClockToken, LoggerToken } from '../kernel/module.js'
import type { Bus } from './bus.js'
import { memoryBus } from './memory-bus.js'

export const BusToken = Symbol.for('@aaas/core-cloud/Bus') as ServiceIdentifier<Bus>

/**
 * Binds Bus: one that the caller opened (`connectBus`, a hub's) and keeps disposing, or else a memory bus that ends with
 * `container.unbindAllAsync()`. Needs Clock and Logger.
 */
export function busModule(options: { readonly bus?: Bus } = {}): ContainerModule {
  return new ContainerModule(({ bind }) => {
    if (options.bus !== undefined) {
      bind(BusToken).toConstantValue(options.bus)
      return
    }
    bind(BusToken)
      .toResolvedValue((clock, logger) => memoryBus({ clock, logger }), [ClockToken, LoggerToken])
      .inSingletonScope()
      .onDeactivation(async bus => bus[Symbol.asyncDispose]())
  })
}
