export { type FailPlan, failNth } from './fail-nth.js'
export { ManualClock } from './manual-clock.js'
export { seededIds, seededRandom } from './seeded-random.js'
export { openTestDatabase, type TestDatabase, testServerUrl } from './test-database.js'
