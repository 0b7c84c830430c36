export type { Route, RouteTable, Upstream } from './route-table.js'
