export { type CallTelemetryOptions, callTelemetry, durationBounds } from './call-telemetry.js'
export { familyOf, type LabelledFamilies, mergeFamilies, readFamilies } from './families.js'
export { listenMetrics, type MetricsServer } from './listen-metrics.js'
export {
  type CollectedFamily,
  type Counter,
  type Gauge,
  type Histogram,
  type HistogramOptions,
  type MetricFamily,
  type MetricOptions,
  type MetricRegistry,
  metricRegistry,
  type Sample,
} from './metric-registry.js'
export {
  type MetricsAnswer,
  type MetricsEndpointOptions,
  type MetricsRequest,
  metricsEndpoint,
} from './metrics-endpoint.js'
export { prometheusContentType, prometheusText } from './prometheus-text.js'
export { processMetrics } from './system-process-metrics.js'
