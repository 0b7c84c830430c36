export type { Lease, LeasePool, PoolRequest, RatePool } from './pool.js'
