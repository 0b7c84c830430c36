import { busClient, type Contract, type Handlers } from '@aaas/core-cloud/contract'
import type { LogStore, MetricsStore } from '@aaas/core-cloud/monitor'
import { Type } from 'typebox'
import type { Bus } from '../bus/bus.js'
import type { Clock } from '../kernel/clock.js'
import { inherit } from '../kernel/context.js'
import { CloudError } from '../kernel/errors.js'
import type { Ids } from '../kernel/ids.js'
import type { HostAgent } from './host-agent.js'
import type { hostAgentContract } from './host-agent-contract.js'
import { busPrefixOf } from './site-runner.js'

/** Answers what control asks of this host. `bus` is the host's own, on which its instances are. */
export function hostAgentHandlers(options: {
  readonly agent: Pick<HostAgent, 'instances' | 'has'>
  readonly bus: Bus
  readonly logs: LogStore
  readonly metrics: MetricsStore
  readonly clock: Clock
  readonly ids: Ids
}): Handlers<typeof hostAgentContract> {
  const { agent, bus, logs, metrics, clock, ids } = options
  return {
    async callSite({ site, kind, contract, method, input, deadline, actor, idempotencyKey }, context) {
      if (!agent.has(site, kind))
        throw new CloudError('core.deploy.unknown-site', `there is no ${kind} '${site}' on this host`)
      const client = busClient({
        bus,
        contract: passThrough(contract, method),
        prefix: busPrefixOf({ kind, site }),
        clock,
        ids,
      })
      const call = client[method]
      if (call === undefined) throw new CloudError('core.contract.unknown-method', `no method ${method}`)
      const output = await call(input, {
        ...inherit(context),
        deadline: Math.min(context.deadline, deadline ?? context.deadline),
        ...(actor === undefined ? {} : { actor }),
        ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
      })
      return { output: output ?? null }
    },
    async logs(query) {
      const { records, complete } = await logs.search(query)
      return { records: [...records], complete }
    },
    async metrics(query) {
      return { series: [...metrics.series(query)] }
    },
    async instances() {
      return { instances: [...agent.instances()] }
    },
  }
}

/** A contract of which only the names are known here; its own server checks what goes in and out. */
function passThrough(name: string, method: string): Contract {
  return {
    name,
    version: '1.0.0',
    methods: { [method]: { summary: 'Forwarded as it is.', input: Type.Unknown(), output: Type.Unknown() } },
  }
}
