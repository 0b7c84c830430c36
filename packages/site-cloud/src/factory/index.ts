export { type GeneratedSite, type GenerateOptions, generateSite } from './generate-site.js'
export type { LoadSummary } from './load-core.js'
export { type Proof, type ProofOptions, type ProofTarget, proveSite } from './prove-site.js'
export { parseSiteFile, SiteFile } from './site-file.js'
