import { createLogger, formatLogRecord, type LogFields, type Logger, type LogLevel } from './logger.js'

/** A logger that writes JSON lines to standard output; the host captures them per instance. */
export function systemLogger(options: { readonly level?: LogLevel; readonly fields?: LogFields } = {}): Logger {
  return createLogger({
    ...options,
    now: () => Date.now(),
    write: record => void process.stdout.write(`${formatLogRecord(record)}\n`),
  })
}
