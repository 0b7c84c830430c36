import { CloudError } from '@aaas/core-cloud/kernel'
import type { CapacityPlan, Performance, UnitCapacity } from './template.js'
import { costOf } from './unit-measurement.js'

/** Head room over the asked rate. */
const headRoom = 1.3
/**
 * Share of what was measured that is planned with: for an instance, for the database server and for the edge. With the
 * head room a site that lost an instance runs at 60 % of the measured rate, and one that lost none lower still, so that a
 * plan holds on a machine a third slower than the one measured.
 */
const plannedUtilisation = 0.6
const maxInstances = 64

/** Something that sets a highest rate, orders with their reads a second. */
interface Bound {
  readonly perSecond: number
  readonly why: string
}

/**
 * Sizes a site from the measured capacity of one instance: enough instances for 1.3 times the asked rate at 60 % of the
 * measured one, still enough with one lost, never fewer than two. The cap follows Little's law (rate x latency, doubled).
 *
 * More instances do not help where they share: one database server, which was shown on `unit.cores` processors, and one
 * edge with one thread. Either is planned to 60 % of its processor time, and a rate beyond is refused.
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
  const costPerOrder = costOf(unit)
  // A tighter target than the one measured leaves less of the instance usable.
  const tightness = Math.min(1, p99Ms / unit.p99Ms)
  const perInstance = (plannedUtilisation * tightness) / costPerOrder
  const [bound] = boundsOf(unit, perInstance)
  if (bound !== undefined && ordersPerSecond > bound.perSecond) {
    const most = Math.floor(bound.perSecond * 60)
    const message = `ordersPerMinute must be at most ${most} at this p99: ${bound.why} (${unit.measuredOn})`
    throw new CloudError('site.factory.impossible-performance', message, {
      field: 'performance/ordersPerMinute',
      details: { most },
    })
  }
  const byRate = Math.ceil((ordersPerSecond * headRoom) / perInstance)
  const withOneLost = Math.ceil(ordersPerSecond / perInstance) + 1
  const instances = Math.max(2, byRate, withOneLost)
  const requestsPerSecond = ordersPerSecond * (1 + unit.readsPerOrder)
  const inFlight = Math.ceil((requestsPerSecond * (p99Ms / 1000) * 2) / instances)
  const concurrency = Math.min(1_024, Math.max(256, inFlight))
  const heldMs = mixed(unit, unit.connectionMsPerOrder, unit.connectionMsPerRead)
  const databaseConnections = Math.min(16, Math.max(4, Math.ceil((ordersPerSecond / instances) * (heldMs / 1000) * 4)))
  const cores = coresOf(unit, ordersPerSecond)
  return {
    performance,
    instances,
    concurrency,
    databaseConnections,
    memoryMb: Math.max(256, unit.memoryMb * 2),
    utilisation: round((ordersPerSecond * costPerOrder) / (instances - 1)),
    cores: cores.all,
    reasons: [
      `${Math.floor(perInstance * 60)} orders a minute with their ${unit.readsPerOrder} reads each is what one instance is planned for, 60 % of ${unit.measuredOn}`,
      `${byRate} by rate with 30 % head room, ${withOneLost} so that one may be lost, at least 2`,
      `${concurrency} requests in flight per instance by Little's law, at least 256`,
      `${databaseConnections} database connections per instance: an order and its reads hold one for ${round(heldMs)} ms; at least 4`,
      `${cores.all} processors busy at the asked rate: instances ${cores.instances}, database ${cores.database}, edge ${cores.edge}`,
    ],
  }
}

/** What limits the site as a whole, the tightest first. */
function boundsOf(unit: UnitCapacity, perInstance: number): readonly Bound[] {
  const busiest = plannedUtilisation / headRoom
  const databaseMs = mixed(unit, unit.databaseMsPerOrder, unit.databaseMsPerRead)
  const edgeMs = mixed(unit, unit.edgeMsPerOrder, unit.edgeMsPerRead)
  const bounds: readonly Bound[] = [
    { perSecond: perInstance * Math.min(maxInstances / headRoom, maxInstances - 1), why: `${maxInstances} instances` },
    {
      perSecond: (busiest * unit.cores * 1000) / databaseMs,
      why: `all instances share one database server of ${unit.cores} processors, and an order with its reads takes ${round(databaseMs)} ms of it`,
    },
    {
      perSecond: (busiest * 1000) / edgeMs,
      why: `all requests pass one edge, and an order with its reads takes ${round(edgeMs)} ms of it`,
    },
  ]
  return [...bounds].sort((a, b) => a.perSecond - b.perSecond)
}

function coresOf(
  unit: UnitCapacity,
  ordersPerSecond: number,
): Readonly<Record<'instances' | 'database' | 'edge' | 'all', number>> {
  const busy = (perOrder: number, perRead: number): number => (ordersPerSecond * mixed(unit, perOrder, perRead)) / 1000
  const instances = busy(unit.instanceMsPerOrder, unit.instanceMsPerRead)
  const database = busy(unit.databaseMsPerOrder, unit.databaseMsPerRead)
  const edge = busy(unit.edgeMsPerOrder, unit.edgeMsPerRead)
  return {
    instances: round(instances),
    database: round(database),
    edge: round(edge),
    all: round(instances + database + edge),
  }
}

/** Of one order with the reads that come with it. */
function mixed(unit: UnitCapacity, perOrder: number, perRead: number): number {
  return perOrder + unit.readsPerOrder * perRead
}

/** Processors a machine should have for a plan, so that they are no busier than planned. */
export function coresWanted(plan: CapacityPlan): number {
  return Math.ceil(plan.cores / plannedUtilisation)
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000
}
