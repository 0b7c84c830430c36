export { type FileLogStoreOptions, fileLogStore } from './file-log-store.js'
export { LatencyHistogram, type LatencyHistogramJson } from './latency-histogram.js'
export type { LogPage, LogQuery, LogStore, StoredLogRecord } from './log-store.js'
export { memoryLogStore } from './memory-log-store.js'
export {
  createMetricsStore,
  type LatencySummary,
  type MetricsPoint,
  type MetricsQuery,
  type MetricsSample,
  type MetricsSeries,
  type MetricsStore,
} from './metrics-store.js'
