export { type Clock, sleep } from './clock.js'
export { type Cloud, type CloudOptions, createCloud, type ProvideOptions, type UseOptions } from './cloud.js'
export { type ConfigSources, loadConfig } from './config.js'
export { type Actor, type CallContext, type CallOptions, inherit } from './context.js'
export type { ErrorCodeEntry } from './error-codes/entry.js'
export { type ErrorCode, errorCodeEntry, errorCodes } from './error-codes.js'
export { CloudError, type CloudErrorOptions, type ErrorBody, type ErrorDetails } from './errors.js'
export type { Ids } from './ids.js'
export { Lifecycle } from './lifecycle.js'
export {
  createLogger,
  formatLogRecord,
  type LogFields,
  type Logger,
  type LogLevel,
  type LogRecord,
  silentLogger,
} from './logger.js'
export { systemClock } from './system-clock.js'
export { systemIds } from './system-ids.js'
export { systemLogger } from './system-logger.js'
