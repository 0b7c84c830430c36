import { ContainerModule, type ServiceIdentifier } from 'inversify'
import type { Clock } from './clock.js'
import type { Ids } from './ids.js'
import { type Logger, silentLogger } from './logger.js'
import { systemClock } from './system-clock.js'
import { systemIds } from './system-ids.js'

export const ClockToken = Symbol.for('@aaas/core-cloud/Clock') as ServiceIdentifier<Clock>
export const IdsToken = Symbol.for('@aaas/core-cloud/Ids') as ServiceIdentifier<Ids>
export const LoggerToken = Symbol.for('@aaas/core-cloud/Logger') as ServiceIdentifier<Logger>

export interface KernelModuleOptions {
  readonly clock?: Clock
  readonly ids?: Ids
  /** Default: nothing is logged. */
  readonly logger?: Logger
}

/** Binds Clock, Ids and Logger: the machine's unless others are given. */
export function kernelModule(options: KernelModuleOptions = {}): ContainerModule {
  return new ContainerModule(({ bind }) => {
    bind(ClockToken).toConstantValue(options.clock ?? systemClock())
    bind(IdsToken).toConstantValue(options.ids ?? systemIds())
    bind(LoggerToken).toConstantValue(options.logger ?? silentLogger)
  })
}
