export { BoundedMap } from './bounded-map.js'
export type { Cache } from './cache.js'
export { type MemoryCacheOptions, memoryCache } from './memory-cache.js'
