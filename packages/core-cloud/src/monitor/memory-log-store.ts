import type { Clock } from '../kernel/clock.js'
import { checkLimit, checkNames, matcher, maxPageChars, parseLogLine } from './log-line.js'
import type { LogStore, StoredLogRecord } from './log-store.js'

/** Keeps the newest lines in memory: for tests and for programs that run without a data folder. */
export function memoryLogStore({ clock, maxRecords = 10_000 }: { clock: Clock; maxRecords?: number }): LogStore {
  const sites = new Map<string, StoredLogRecord[]>()
  let dropped = 0
  return {
    get dropped() {
      return dropped
    },
    append(site, instance, line, stream) {
      checkNames(site, instance)
      const records = sites.get(site) ?? []
      sites.set(site, records)
      records.push(parseLogLine(line, { instance, now: clock.now(), ...(stream === undefined ? {} : { stream }) }))
      if (records.length <= maxRecords) return
      records.shift()
      dropped += 1
    },
    close: (site, instance) => Promise.resolve(checkNames(site, instance)),
    async search(query) {
      checkNames(query.site, query.instance)
      checkLimit(query.limit)
      const matches = matcher(query)
      const records: StoredLogRecord[] = []
      let chars = 0
      const newestFirst = (sites.get(query.site) ?? []).toReversed().sort((a, b) => b.at - a.at)
      for (const record of newestFirst) {
        if (records.length >= query.limit || chars >= maxPageChars) break
        if ((query.instance !== undefined && record.instance !== query.instance) || !matches(record)) continue
        records.push(record)
        chars += record.message.length + JSON.stringify(record.fields).length
      }
      return { records, complete: true }
    },
    async remove(site) {
      checkNames(site)
      sites.delete(site)
    },
    async [Symbol.asyncDispose]() {
      sites.clear()
    },
  }
}
