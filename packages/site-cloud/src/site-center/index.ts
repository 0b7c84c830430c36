export { type ControlHandle, type ControlOptions, startControl } from './control-process.js'
export { platformVersion } from './platform-version.js'
export { type PackageFacts, SiteCenter, type SiteCenterDeps } from './site-center.js'
export { LogEntry, Site, SiteInstance, SiteVersion, StoredPackage, siteCenterContract } from './site-center-contract.js'
