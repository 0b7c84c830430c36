export {
  type Cloudware,
  type CloudwareContext,
  type CloudwareState,
  defineCloudware,
  type HookHandler,
  type Verdict,
  type View,
  type ViewBlock,
} from './cloudware.js'
export type { CloudwareStatus, Hook, HookHost } from './hooks.js'
export { HookUse, Manifest, PackageJson, type PackageRef } from './manifest.js'
