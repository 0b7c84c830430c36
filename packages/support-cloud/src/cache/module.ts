import { ClockToken } from '@aaas/core-cloud/kernel/module'
import { ContainerModule, type ServiceIdentifier } from 'inversify'
import type { Cache } from './cache.js'
import { type MemoryCacheOptions, memoryCache } from './memory-cache.js'

export const CacheToken = Symbol.for('@aaas/support-cloud/Cache') as ServiceIdentifier<Cache>

/** Binds Cache: the memory cache, emptied by `container.unbindAllAsync()`. Needs Clock. */
export function cacheModule(options: Omit<MemoryCacheOptions, 'clock'> = {}): ContainerModule {
  return new ContainerModule(({ bind }) => {
    bind(CacheToken)
      .toResolvedValue(clock => memoryCache({ ...options, clock }), [ClockToken])
      .inSingletonScope()
      .onDeactivation(async cache => cache[Symbol.asyncDispose]())
  })
}
