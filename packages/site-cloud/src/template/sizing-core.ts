import { CloudError } from '@aaas/core-cloud/kernel'
import type { CapacityPlan, Performance, UnitCapacity } from './template.js'

/** Head room over the asked rate. */
const headRoom = 1.3
/** Share of its measured capacity an instance may be planned for. */
const plannedUtilisation = 0.6
const maxInstances = 64

/**
 * Sizes a site from the measured capacity of one instance: enough instances for 1.3 times the asked rate at 60 %
 * utilisation, still enough with one lost, never fewer than two. The cap follows Little's law (rate x latency, doubled).
 * @throws CloudError `site.factory.impossible-performance` naming the field when the template cannot do it.
 */
export function planCapacity(performance: Performance, unit: UnitCapacity): CapacityPlan {
  const { ordersPerMinute, p99Ms } = performance
  const leastMs = Math.ceil(unit.p99Ms / 10)
  if (p99Ms < leastMs) {
    throw new CloudError('site.factory.impossible-performance', `p99Ms must be at least ${leastMs} for this template`, {
      field: 'performance/p99Ms',
      details: { least: leastMs },
    })
  }
  const ordersPerSecond = ordersPerMinute / 60
  // One order with its reads costs this share of an instance's second.
  const costPerOrder = 1 / unit.ordersPerSecond + unit.readsPerOrder / unit.readsPerSecond
  // A tighter target than the one measured leaves less of the instance usable.
  const tightness = Math.min(1, p99Ms / unit.p99Ms)
  const perInstance = (plannedUtilisation * tightness) / costPerOrder
  const byRate = Math.ceil((ordersPerSecond * headRoom) / perInstance)
  const withOneLost = Math.ceil(ordersPerSecond / perInstance) + 1
  const instances = Math.max(2, byRate, withOneLost)
  if (instances > maxInstances) {
    const most = Math.floor(perInstance * Math.min(maxInstances / headRoom, maxInstances - 1) * 60)
    throw new CloudError(
      'site.factory.impossible-performance',
      `ordersPerMinute must be at most ${most} at this p99 (${maxInstances} instances)`,
      { field: 'performance/ordersPerMinute', details: { most } },
    )
  }
  const requestsPerSecond = ordersPerSecond * (1 + unit.readsPerOrder)
  const inFlight = Math.ceil((requestsPerSecond * (p99Ms / 1000) * 2) / instances)
  const concurrency = Math.min(1_024, Math.max(256, inFlight))
  const databaseConnections = Math.min(
    16,
    Math.max(4, Math.ceil((ordersPerSecond / instances) * (unit.databaseMsPerOrder / 1000) * 4)),
  )
  const utilisation = round((ordersPerSecond * costPerOrder) / (instances - 1))
  return {
    performance,
    instances,
    concurrency,
    databaseConnections,
    memoryMb: Math.max(256, unit.memoryMb * 2),
    utilisation,
    reasons: [
      `${round(perInstance * 60)} orders a minute is what one instance is planned for (${unit.measuredOn})`,
      `${byRate} by rate with 30 % head room, ${withOneLost} so that one may be lost, at least 2`,
      `${concurrency} requests in flight per instance by Little's law, at least 256`,
      `${databaseConnections} database connections per instance`,
    ],
  }
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000
}
