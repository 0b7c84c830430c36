// A small keep-alive HTTP client for demonstrations; never retries by itself.
import { Agent, request } from 'node:http'

export function httpCaller({ port, hostName, apiKey, sockets = 64 }) {
  const agent = new Agent({ keepAlive: true, maxSockets: sockets })
  const call = (method, path, { body, headers = {} } = {}) =>
    new Promise(resolve => {
      const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body)
      const outgoing = request(
        {
          agent,
          host: '127.0.0.1',
          port,
          method,
          path,
          timeout: 30_000,
          headers: {
            host: hostName,
            ...(apiKey ? { authorization: `Bearer ${apiKey}` } : {}),
            ...(text === undefined
              ? {}
              : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
            ...headers,
          },
        },
        response => {
          const parts = []
          response.on('data', part => parts.push(part))
          response.on('end', () =>
            resolve({
              status: response.statusCode,
              headers: response.headers,
              text: Buffer.concat(parts).toString('utf8'),
            }),
          )
          response.on('error', error => resolve({ status: 0, headers: {}, text: String(error) }))
        },
      )
      outgoing.on('timeout', () => outgoing.destroy(new Error('timeout')))
      outgoing.on('error', error => resolve({ status: 0, headers: {}, text: String(error) }))
      outgoing.end(text)
    })
  return { call, close: () => agent.destroy() }
}

/** `callers` loops of `work(worker, round)` until `stop.now`. */
export async function closedLoop(callers, stop, work) {
  await Promise.all(
    Array.from({ length: callers }, async (_, worker) => {
      for (let round = 0; !stop.now; round++) await work(worker, round)
    }),
  )
}
