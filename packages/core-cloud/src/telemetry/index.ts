export { type CallTelemetryOptions, callTelemetry, durationBounds } from './call-telemetry.js'
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
export { prometheusContentType, prometheusText } from './prometheus-text.js'
