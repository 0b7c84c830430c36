import { createServer, type Server } from 'node:http'
import { CloudError } from '../kernel/errors.js'
import { type MetricsEndpointOptions, metricsEndpoint } from './metrics-endpoint.js'

/** Answers until it is disposed. */
export interface MetricsServer extends AsyncDisposable {
  readonly port: number
}

/**
 * Serves `/metrics` on a port of this machine (127.0.0.1), for a process that serves nothing else.
 * @param options.port - 0 takes a free one.
 * @throws CloudError `core.deploy.port-in-use`.
 */
export async function listenMetrics(
  options: MetricsEndpointOptions & { readonly port: number },
): Promise<MetricsServer> {
  const answer = metricsEndpoint(options)
  const server = createServer(async (request, response) => {
    const { method = 'GET', url = '/', headers } = request
    const found = await answer({ method, path: url.split('?', 1)[0] ?? '/', authorization: headers.authorization })
    request.resume()
    response.writeHead(found?.status ?? 404, found?.headers ?? { 'content-type': 'text/plain' })
    response.end(found?.body ?? 'see /metrics\n')
  })
  server.maxConnections = 16
  server.requestTimeout = 10_000
  const port = await listening(server, options.port)
  return {
    port,
    [Symbol.asyncDispose]: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function listening(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const text = `port ${port} is in use; choose another for the metrics`
      const error = new CloudError('core.deploy.port-in-use', text, { cause, field: 'AAAS_METRICS_PORT' })
      reject(cause.code === 'EADDRINUSE' ? error : cause)
    })
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : port)
    })
  })
}
