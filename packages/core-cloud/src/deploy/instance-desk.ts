import { Reading, type ReadingSpool } from '@aaas/core-cloud/metering'
import type { LabelledFamilies } from '@aaas/core-cloud/telemetry'
import { Compile } from 'typebox/compile'
import type { Logger } from '../kernel/logger.js'
import type { DesiredSite } from './desired-state.js'
import { directSource } from './instance-bus.js'
import type { InstanceProcess } from './instance-process.js'

/** The instances that run on a host, for those who want something of each. */
export interface InstanceDesk {
  add(instance: string, site: DesiredSite, process: Pick<InstanceProcess, 'metrics' | 'renew'>): void
  remove(instance: string): void
  renew(instance: string, credential: string): void
  /** What each says of itself, with its site and name as labels; `aaas_instance_up` is 0 for one that says nothing. */
  metrics(): Promise<readonly LabelledFamilies[]>
  /** Readings that an instance sent: taken of services, about what others used of them, and of nobody else. */
  readings(instance: string, sent: unknown): void
}

const readingForm = Compile(Reading)
/** Readings of one message; a service has one for each tenant that calls it. */
const maxReadings = 10_000

export function createInstanceDesk(options: { readonly spool: ReadingSpool; readonly logger: Logger }): InstanceDesk {
  const { spool, logger } = options
  const running = new Map<
    string,
    { readonly site: DesiredSite; readonly process: Parameters<InstanceDesk['add']>[2] }
  >()
  return {
    add: (instance, site, process) => void running.set(instance, { site, process }),
    remove: instance => void running.delete(instance),
    renew: (instance, credential) => running.get(instance)?.process.renew(credential),
    metrics: () =>
      Promise.all(
        Array.from(running, async ([instance, { site, process }]) => {
          const families = await process.metrics()
          const up = {
            name: 'aaas_instance_up',
            help: 'Whether the instance answered when it was asked for its metrics.',
            type: 'gauge' as const,
            samples: [{ suffix: '', labels: [], value: families === undefined ? 0 : 1 }],
          }
          const labels = { site: site.site, site_instance: instance }
          return { labels, families: [up, ...(families ?? []).filter(({ name }) => name !== up.name)] }
        }),
      ),
    readings(instance, sent) {
      const found = running.get(instance)
      if (found === undefined) return
      const good =
        found.site.kind === 'service' &&
        Array.isArray(sent) &&
        sent.length <= maxReadings &&
        sent.every(reading => readingForm.Check(reading) && reading.source === directSource(instance))
      if (!good) {
        logger.warn('an instance sent readings that are not its to send', { instance })
        return
      }
      for (const reading of sent as Reading[]) spool.put(reading)
    },
  }
}
