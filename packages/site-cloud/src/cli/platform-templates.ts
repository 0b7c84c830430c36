import { shopTemplate } from '../shop/index.js'
import type { Template } from '../template/index.js'

/** The templates this platform brings. */
export const templates: readonly Template[] = [shopTemplate]

/** Semver range of the platform that generated packages ask for. */
export const engineRange = '^0.1.0'
