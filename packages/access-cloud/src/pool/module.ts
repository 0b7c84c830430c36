import { ClockToken } from '@aaas/core-cloud/kernel/module'
import { ContainerModule, type ServiceIdentifier } from 'inversify'
import { type MemoryLeasePoolOptions, memoryLeasePool } from './memory-lease-pool.js'
import { type MemoryRatePoolOptions, memoryRatePool } from './memory-rate-pool.js'
import type { LeasePool, RatePool } from './pool.js'

export const RatePoolToken = Symbol.for('@aaas/access-cloud/RatePool') as ServiceIdentifier<RatePool>
export const LeasePoolToken = Symbol.for('@aaas/access-cloud/LeasePool') as ServiceIdentifier<LeasePool>

export interface PoolModuleOptions {
  readonly rate: Omit<MemoryRatePoolOptions, 'clock'>
  readonly leases: Omit<MemoryLeasePoolOptions, 'clock'>
}

/** Binds RatePool and LeasePool for one scarce capacity; both end with `container.unbindAllAsync()`. Needs Clock. */
export function poolModule(options: PoolModuleOptions): ContainerModule {
  return new ContainerModule(({ bind }) => {
    bind(RatePoolToken)
      .toResolvedValue(clock => memoryRatePool({ ...options.rate, clock }), [ClockToken])
      .inSingletonScope()
      .onDeactivation(async pool => pool[Symbol.asyncDispose]())
    bind(LeasePoolToken)
      .toResolvedValue(clock => memoryLeasePool({ ...options.leases, clock }), [ClockToken])
      .inSingletonScope()
      .onDeactivation(async pool => pool[Symbol.asyncDispose]())
  })
}
