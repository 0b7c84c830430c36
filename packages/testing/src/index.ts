export { findTestEngine } from './engines.js'
export { eventually } from './eventually.js'
export { type FailPlan, failNth } from './fail-nth.js'
export {
  checkLinearizable,
  type HistoryCall,
  type LinearizabilityVerdict,
  type SequentialModel,
} from './linearizability.js'
export { ManualClock } from './manual-clock.js'
export {
  type NatsNode,
  type NatsServers,
  type NatsServersOptions,
  startNats,
  type TestCertificate,
  testCertificate,
} from './nats-server.js'
export { type ReplicaSimulationOptions, type ReplicatedMachine, simulateReplicas } from './replica-simulation.js'
export { seededIds, seededRandom } from './seeded-random.js'
export { SimDisk, type SimFile, type SimFiles, type SimFolder } from './sim-disk.js'
export type { DiskFaults } from './sim-disk-image.js'
export { type NetworkFaults, SimNetwork } from './sim-network.js'
export { Simulation } from './simulation.js'
export { openTestDatabase, type TestDatabase, testServerUrl } from './test-database.js'
