import type { BusHub, QuotaDesk } from '@aaas/core-cloud/bus'
import {
  type CollectedFamily,
  familyOf,
  mergeFamilies,
  metricRegistry,
  processMetrics,
} from '@aaas/core-cloud/telemetry'
import type { TrafficSource } from './edge-sampler.js'
import type { InstanceDesk } from './instance-desk.js'

const ofTenants = [
  ['busMessages', 'counter', 'aaas_bus_messages_total', 'Messages and calls that a tenant sent through the hub.'],
  ['busBytesIn', 'counter', 'aaas_bus_sent_bytes_total', 'Bytes of those.'],
  ['busBytesOut', 'counter', 'aaas_bus_received_bytes_total', 'Bytes that the hub handed to a tenant.'],
  ['busRefused', 'counter', 'aaas_bus_refused_total', 'Messages and calls over the quota of a tenant.'],
  ['inFlight', 'gauge', 'aaas_bus_calls_in_flight', 'Calls of a tenant without an answer.'],
  ['subscriptions', 'gauge', 'aaas_bus_subscriptions', 'Subscriptions of a tenant.'],
] as const

const ofSites = [
  ['requests', 'aaas_edge_requests_total', 'Requests that got an answer from an instance or an error about one.'],
  ['failures', 'aaas_edge_failures_total', 'Answers with status 500 and above, and cut ones.'],
  ['retried', 'aaas_edge_retries_total', 'Attempts after the first.'],
  ['rejected', 'aaas_edge_rejected_total', '503 because every instance was full or none could be reached.'],
  ['bytesIn', 'aaas_edge_request_bytes_total', 'Bytes sent to instances.'],
  ['bytesOut', 'aaas_edge_response_bytes_total', 'Bytes of bodies received from instances.'],
] as const

/** Everything a host can say: of itself, its edge, its hub, and each of its instances. */
export function hostMetrics(options: {
  readonly edge: TrafficSource
  readonly hub: Pick<BusHub, 'connections'>
  readonly quotas: Pick<QuotaDesk, 'usage'>
  readonly instances: Pick<InstanceDesk, 'metrics'>
}): () => Promise<readonly CollectedFamily[]> {
  const registry = metricRegistry()
  processMetrics(registry)
  const connections = registry.gauge({ name: 'aaas_bus_connections', help: 'Connections to the hub.' }).with()
  registry.onCollect(() => connections.set(options.hub.connections().length))
  return async () => {
    const instances = await options.instances.metrics()
    const own = [...registry.collect(), ...edgeFamilies(options.edge), ...tenantFamilies(options.quotas)]
    return mergeFamilies([{ labels: {}, families: own }, ...instances])
  }
}

function edgeFamilies(edge: TrafficSource): CollectedFamily[] {
  const sites = Object.entries(edge.metrics().sites)
  const families = ofSites.map(([field, name, help]) =>
    familyOf(
      'counter',
      name,
      help,
      sites.map(([site, counters]) => ({ labels: { site }, value: counters[field] })),
    ),
  )
  const seconds = sites.map(([site, { latency }]) => ({
    labels: { site },
    value: (latency.mean * latency.count) / 1_000,
  }))
  return [...families, familyOf('counter', 'aaas_edge_seconds_total', 'Time of all answered requests.', seconds)]
}

function tenantFamilies(quotas: Pick<QuotaDesk, 'usage'>): CollectedFamily[] {
  const tenants = [...quotas.usage()]
  return ofTenants.map(([field, type, name, help]) =>
    familyOf(
      type,
      name,
      help,
      tenants.map(([site, usage]) => ({ labels: { site }, value: usage[field] ?? 0 })),
    ),
  )
}
