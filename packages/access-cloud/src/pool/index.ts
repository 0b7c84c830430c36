export { type MemoryLeasePoolOptions, memoryLeasePool } from './memory-lease-pool.js'
export { type MemoryRatePoolOptions, memoryRatePool } from './memory-rate-pool.js'
export type { Lease, LeasePool, LeaseRequest, PoolRequest, RatePool, RateRequest } from './pool.js'
