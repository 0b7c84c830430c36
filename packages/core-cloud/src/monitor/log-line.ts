import { CloudError } from '../kernel/errors.js'
import type { LogLevel } from '../kernel/logger.js'
import type { LogQuery, StoredLogRecord } from './log-store.js'

/** Most characters of one line. */
const maxLineChars = 64 * 1024
/** Most characters of the records of one page. */
export const maxPageChars = 4 * 1024 * 1024

const levels: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']
const sitePattern = /^[a-z0-9][a-z0-9-]{0,39}$/
const instancePattern = /^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/

/** Names become file names, so nothing but plain ones may pass. */
export function checkNames(site: string, instance?: string): void {
  if (!sitePattern.test(site))
    throw new CloudError('core.kernel.invalid-config', `not a site name: '${site}'`, { field: 'site' })
  if (instance !== undefined && !instancePattern.test(instance)) {
    throw new CloudError('core.kernel.invalid-config', `not an instance id: '${instance}'`, { field: 'instance' })
  }
}

export function checkLimit(limit: number): void {
  if (Number.isInteger(limit) && limit >= 1 && limit <= 1_000) return
  throw new CloudError('core.kernel.invalid-config', 'limit must be an integer from 1 to 1000', { field: 'limit' })
}

function isLevel(value: unknown): value is LogLevel {
  return levels.some(level => level === value)
}

/** Makes a record of a printed line. */
export function parseLogLine(
  line: string,
  options: { instance: string; now: number; stream?: 'stdout' | 'stderr' },
): StoredLogRecord {
  const { instance, now, stream = 'stdout' } = options
  const text = line.length > maxLineChars ? line.slice(0, maxLineChars) : line
  const value = text.startsWith('{') ? parseObject(text) : undefined
  if (value === undefined || typeof value.message !== 'string') {
    return { instance, at: now, level: stream === 'stderr' ? 'warn' : 'info', message: text, fields: {} }
  }
  const { at, level, message, ...fields } = value
  return {
    instance,
    at: typeof at === 'number' && Number.isFinite(at) ? at : now,
    level: isLevel(level) ? level : 'info',
    message: value.message,
    fields,
  }
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

/** Makes the test for the records a query wants. */
export function matcher(query: LogQuery): (record: StoredLogRecord) => boolean {
  const least = levels.indexOf(query.level ?? 'debug')
  const text = query.text?.toLowerCase() ?? ''
  const since = query.since ?? Number.NEGATIVE_INFINITY
  const before = query.before ?? Number.POSITIVE_INFINITY
  return record => {
    if (record.at < since || record.at >= before || levels.indexOf(record.level) < least) return false
    if (text === '') return true
    return record.message.toLowerCase().includes(text) || JSON.stringify(record.fields).toLowerCase().includes(text)
  }
}
