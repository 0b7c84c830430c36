export type { Cache } from './cache.js'
export { type CacheFixture, cacheSuite } from './cache-suite.js'
export { type MemoryCacheOptions, memoryCache } from './memory-cache.js'
