export type {
  DesiredCloudware,
  DesiredSite,
  DesiredState,
  InstanceState,
  ObservedInstance,
  ObservedSite,
} from './desired-state.js'
export { defineProgram, type InstanceContext, type Program, type ReleaseContext, type RunningProgram } from './program.js'
