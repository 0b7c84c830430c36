import type { MetricsSeries, StoredLogRecord } from '@aaas/core-cloud/monitor'
import { Type } from 'typebox'
import { defineContract } from '../contract/contract.js'
import type { Actor } from '../kernel/context.js'
import type { LogLevel } from '../kernel/logger.js'
import { InstanceId, Millis, SiteName } from './deploy-schemas.js'
import type { ObservedInstance } from './desired-state.js'

/** Prefix under which a host serves {@link hostAgentContract} on control's hub. */
export function hostPrefix(hostId: string): string {
  return `host.${hostId}`
}

const level = Type.Unsafe<LogLevel>(
  Type.Union([Type.Literal('debug'), Type.Literal('info'), Type.Literal('warn'), Type.Literal('error')]),
)
const actor = Type.Unsafe<Actor>(
  Type.Object({
    id: Type.String({ maxLength: 200 }),
    scopes: Type.Array(Type.String({ maxLength: 200 }), { maxItems: 200 }),
  }),
)
const token = Type.String({ pattern: '^[a-z][A-Za-z0-9-]*(\\.[a-z][A-Za-z0-9-]*)*$', maxLength: 100 })

/** What control asks of a host: the only way from control to a site. */
export const hostAgentContract = defineContract({
  name: 'core.host-agent',
  version: '1.0.0',
  methods: {
    callSite: {
      summary: 'Forwards a call to an instance of a site or service on this host.',
      input: Type.Object({
        site: SiteName,
        kind: Type.Union([Type.Literal('site'), Type.Literal('service')]),
        /** Name of the contract, such as `business.order`. */
        contract: token,
        method: token,
        input: Type.Unknown(),
        /** Epoch milliseconds. */
        deadline: Type.Optional(Millis),
        actor: Type.Optional(actor),
        idempotencyKey: Type.Optional(Type.String({ maxLength: 200 })),
      }),
      output: Type.Object({ output: Type.Unknown() }),
      errors: ['core.deploy.unknown-site', 'core.bus.no-responder'],
      deadlineMs: 15_000,
    },
    logs: {
      summary: 'Searches the logs of a site, newest first; the logs of dead instances included.',
      input: Type.Object({
        site: SiteName,
        instance: Type.Optional(InstanceId),
        /** Part of the line, any case. */
        text: Type.Optional(Type.String({ maxLength: 200 })),
        /** Least level. */
        level: Type.Optional(level),
        since: Type.Optional(Millis),
        /** Exclusive; the time of the last record of a page gives the next page. */
        before: Type.Optional(Millis),
        limit: Type.Integer({ minimum: 1, maximum: 1_000 }),
      }),
      output: Type.Object({
        records: Type.Array(
          Type.Unsafe<StoredLogRecord>(
            Type.Object({
              instance: Type.String(),
              at: Type.Number(),
              level,
              message: Type.String(),
              fields: Type.Record(Type.String(), Type.Unknown()),
            }),
          ),
        ),
        /** False when the search stopped at its limit of bytes read; older records may match too. */
        complete: Type.Boolean(),
      }),
      idempotent: true,
    },
    metrics: {
      summary: 'Requests and latency by second of the last ten minutes, per site and instance.',
      input: Type.Object({ site: Type.Optional(SiteName), since: Type.Optional(Millis) }),
      output: Type.Object({
        series: Type.Array(
          Type.Unsafe<MetricsSeries>(
            Type.Object({ site: Type.String(), instance: Type.String(), points: Type.Array(Type.Unknown()) }),
          ),
        ),
      }),
      idempotent: true,
    },
    instances: {
      summary: 'The instances this host runs now.',
      input: Type.Object({}),
      output: Type.Object({
        instances: Type.Array(
          Type.Unsafe<ObservedInstance & { readonly site: string }>(
            Type.Object({
              site: SiteName,
              id: InstanceId,
              version: Type.Integer(),
              state: Type.String(),
              restarts: Type.Integer(),
            }),
          ),
        ),
      }),
      idempotent: true,
    },
  },
})
