export {
  controlPlaneContract,
  controlPrefix,
  desiredChangedSubject,
  packageChunkBytes,
} from './control-plane-contract.js'
export { DesiredSiteSchema, DesiredStateSchema, ObservedSiteSchema } from './deploy-schemas.js'
export type {
  DesiredCloudware,
  DesiredSite,
  DesiredState,
  InstanceState,
  ObservedInstance,
  ObservedSite,
} from './desired-state.js'
export { edgeSeries } from './edge-sampler.js'
export { hostAgentContract, hostPrefix } from './host-agent-contract.js'
export { type FromHost, type HostStart, hostMainModule, type ToHost } from './host-main.js'
export { type HostEdge, type HostHandle, type HostOptions, startHost } from './host-process.js'
export {
  defineProgram,
  type InstanceContext,
  type Program,
  type ReleaseContext,
  type RunningProgram,
} from './program.js'
