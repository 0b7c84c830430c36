export { planCapacity } from './sizing-core.js'
export { cloudwareStateMigrations, sqlCloudwareState } from './sql-cloudware-state.js'
export type { CapacityPlan, Performance, Template, UnitCapacity } from './template.js'
