import type { Logger } from '@aaas/core-cloud/kernel'
import { type MetricRegistry, metricsEndpoint } from '@aaas/core-cloud/telemetry'

/** `/metrics` beside the console, with a token of its own: a scraper needs no right to change anything. */
export function controlMetrics(options: {
  readonly registry: MetricRegistry
  readonly token: string | undefined
  readonly logger: Logger
}): (request: Request) => Promise<Response | undefined> {
  const { registry, token, logger } = options
  if (token === undefined) return async () => undefined
  const answer = metricsEndpoint({ token, collect: async () => registry.collect(), logger })
  return async request => {
    const { pathname } = new URL(request.url)
    const authorization = request.headers.get('authorization') ?? undefined
    const found = await answer({ method: request.method, path: pathname, authorization })
    return found === undefined ? undefined : new Response(found.body, { status: found.status, headers: found.headers })
  }
}
