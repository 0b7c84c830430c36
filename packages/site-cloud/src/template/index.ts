export {
  type Probe,
  type ProbeEnd,
  type ProbeLimits,
  type ProbeStep,
  type ProbeTurn,
  probeStep,
  startProbe,
  stepPassed,
} from './capacity-probe-core.js'
export { coresWanted, planCapacity } from './sizing-core.js'
export { cloudwareStateMigrations, sqlCloudwareState } from './sql-cloudware-state.js'
export type { CapacityPlan, Performance, Template, UnitCapacity } from './template.js'
export {
  middleRun,
  parseMeasurement,
  type UnitFigures,
  type UnitMeasurement,
  unitCapacity,
} from './unit-measurement.js'
