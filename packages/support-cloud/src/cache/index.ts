export type { Cache } from './cache.js'
