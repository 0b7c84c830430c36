export { archiveLimits } from './archive.js'
export { type BuiltPackage, buildPackage } from './build-package.js'
export {
  type Cloudware,
  type CloudwareContext,
  type CloudwareState,
  defineCloudware,
  type HookCall,
  type HookHandler,
  type Verdict,
  type View,
  type ViewBlock,
} from './cloudware.js'
export { createHookHost, type HookHostOptions, type RunningHookHost } from './hook-host.js'
export { defaultHookLimits, type HookLimits } from './hook-limits.js'
export { type CloudwareStatus, defineHook, type Hook, type HookHost, noHooks } from './hooks.js'
export { inspectPackage, type PackageInspection } from './inspect-package.js'
export { HookUse, Manifest, PackageJson, type PackageRef } from './manifest.js'
export { memoryCloudwareState } from './memory-cloudware-state.js'
export { checkPackageConfig } from './package-config.js'
export { parsePackageJson } from './package-json.js'
export type { LaunchPackage, PackageProcess, PackageProcessEvents } from './package-process.js'
export type { LoadedPackage } from './package-supervisor.js'
export { readPackageFile } from './read-package-file.js'
export {
  PackageSignature,
  PackageStatement,
  parseSignature,
  type Revocations,
  signPackage,
  type TrustedKeys,
  verifyPackage,
} from './sign-package.js'
export { type LockedPackage, type LockRequest, type PackageCandidate, resolveLock, type SiteLock } from './site-lock.js'
export { generateSigningKeys, type SigningKeys } from './system-signing-keys.js'
export { unpackPackage } from './unpack-package.js'
