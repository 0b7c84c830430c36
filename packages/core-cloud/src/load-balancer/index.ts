export { createEdge, type Edge, type EdgeLimits, type EdgeOptions } from './edge.js'
export type { EdgeCounters, EdgeMetrics } from './edge-metrics.js'
export type { Route, RouteTable, Upstream } from './route-table.js'
