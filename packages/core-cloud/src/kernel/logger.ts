/** Structured fields of a log line. JSON values; errors are allowed under `error`. Never secrets or full card numbers. */
export type LogFields = Readonly<Record<string, unknown>>
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** Writes one structured line per call. Never throws and never blocks. */
export interface Logger {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** A logger that adds `fields` to each line. */
  child(fields: LogFields): Logger
}

/** One line as it is stored and searched. `at` is epoch milliseconds. */
export interface LogRecord {
  readonly at: number
  readonly level: LogLevel
  readonly message: string
  readonly fields: LogFields
}

const order: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']

/** Builds a logger on a sink of records. */
export function createLogger(options: {
  readonly now: () => number
  readonly write: (record: LogRecord) => void
  readonly level?: LogLevel
  readonly fields?: LogFields
}): Logger {
  const least = order.indexOf(options.level ?? 'info')
  const bound = options.fields ?? {}
  const at =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}): void => {
      if (order.indexOf(level) < least) return
      options.write({ at: options.now(), level, message, fields: { ...bound, ...fields } })
    }
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: fields => createLogger({ ...options, fields: { ...bound, ...fields } }),
  }
}

/** A logger that drops everything. */
export const silentLogger: Logger = createLogger({ now: () => 0, write: () => undefined })

const secretKey = /(password|passwd|secret|token|authorization|cookie|private[-_]?key|card[-_]?number)/i

/** One line of JSON, at most `maxChars` characters; values under secret-looking keys are replaced by `[hidden]`. */
export function formatLogRecord(record: LogRecord, maxChars = 16_384): string {
  const text = JSON.stringify(
    { at: record.at, level: record.level, message: record.message, ...record.fields },
    (key, value: unknown) => {
      if (key !== '' && secretKey.test(key)) return '[hidden]'
      if (typeof value === 'bigint') return value.toString()
      if (value instanceof Error) return errorFields(value)
      return value
    },
  )
  if (text.length <= maxChars) return text
  return JSON.stringify({
    at: record.at,
    level: record.level,
    message: record.message.slice(0, maxChars / 2),
    truncated: true,
  })
}

function errorFields(error: Error): Record<string, unknown> {
  return {
    name: error.name,
    ...('code' in error ? { code: error.code } : {}),
    text: error.message,
    ...(error.cause instanceof Error ? { cause: errorFields(error.cause) } : {}),
    stack: error.stack
      ?.split('\n')
      .slice(1, 6)
      .map(line => line.trim()),
  }
}
