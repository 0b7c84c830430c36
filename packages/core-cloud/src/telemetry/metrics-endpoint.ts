import { createHash, timingSafeEqual } from 'node:crypto'
import type { Logger } from '../kernel/logger.js'
import type { CollectedFamily } from './metric-registry.js'
import { prometheusContentType, prometheusText } from './prometheus-text.js'

/** The parts of a request that matter here. */
export interface MetricsRequest {
  readonly method: string
  /** Without the query. */
  readonly path: string
  /** The header, when there is one. */
  readonly authorization: string | undefined
}

export interface MetricsAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface MetricsEndpointOptions {
  /** What a scraper presents as `Authorization: Bearer <token>`. */
  readonly token: string
  /** Requests that come while it is at work share what it gives. */
  readonly collect: () => Promise<readonly CollectedFamily[]>
  readonly logger: Logger
}

/**
 * Answers `GET /metrics` in the text format of Prometheus, for those with the token.
 * @returns undefined for every other path.
 */
export function metricsEndpoint(
  options: MetricsEndpointOptions,
): (request: MetricsRequest) => Promise<MetricsAnswer | undefined> {
  const { collect, logger } = options
  const expected = hashOf(`Bearer ${options.token}`)
  let collecting: Promise<readonly CollectedFamily[]> | undefined
  return async ({ method, path, authorization = '' }) => {
    if (path !== '/metrics') return undefined
    if (!timingSafeEqual(hashOf(authorization), expected))
      return plain(401, 'a bearer token is needed\n', { 'www-authenticate': 'Bearer' })
    if (method !== 'GET' && method !== 'HEAD') return plain(405, 'only GET\n', { allow: 'GET, HEAD' })
    try {
      collecting ??= collect().finally(() => {
        collecting = undefined
      })
      const families = await collecting
      const headers = { 'content-type': prometheusContentType, 'cache-control': 'no-store' }
      return { status: 200, headers, body: method === 'HEAD' ? '' : prometheusText({ collect: () => families }) }
    } catch (error) {
      logger.error('the metrics could not be collected', { error })
      return plain(503, 'not now\n')
    }
  }
}

function plain(status: number, body: string, headers: Readonly<Record<string, string>> = {}): MetricsAnswer {
  return { status, headers: { 'content-type': 'text/plain; charset=utf-8', ...headers }, body }
}

/** Of equal length, whatever was sent. */
function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
