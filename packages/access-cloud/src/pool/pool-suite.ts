export { type LeasePoolFixture, leasePoolSuite } from './lease-pool-suite.js'
export { type RatePoolFixture, ratePoolSuite } from './rate-pool-suite.js'
