// Closed-loop load on loopback: callers that send the next request when the last is answered. Bounded in time.
import { Agent, request } from 'node:http'

export function caller({ port, hostName = '127.0.0.1', headers = {}, sockets }) {
  const agent = new Agent({ keepAlive: true, maxSockets: sockets, scheduling: 'lifo' })
  return {
    call: (method, path, body, more = {}) =>
      new Promise((resolve, reject) => {
        const outgoing = request(
          {
            agent,
            host: '127.0.0.1',
            port,
            method,
            path,
            headers: {
              host: hostName,
              ...headers,
              ...more,
              ...(body === undefined
                ? {}
                : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
            },
          },
          response => {
            let bytes = 0
            let text = ''
            response.on('data', part => {
              bytes += part.length
              if (response.statusCode >= 300) text += part
            })
            response.on('end', () => resolve({ status: response.statusCode, bytes, text }))
            response.on('error', reject)
          },
        )
        outgoing.on('error', reject)
        outgoing.end(body)
      }),
    close: () => agent.destroy(),
  }
}

/** @returns requests per second and p50/p99 in milliseconds of `seconds` of load after a short warm-up. */
export async function closedLoop({ callers, seconds, send, warmUpSeconds = 0.4 }) {
  const latencies = []
  let measuring = false
  let done = false
  const work = Array.from({ length: callers }, async (_, worker) => {
    for (let round = 0; !done; round++) {
      const at = performance.now()
      await send(worker, round)
      if (measuring) latencies.push(performance.now() - at)
    }
  })
  const failed = Promise.all(work)
  await Promise.race([failed, new Promise(resolve => setTimeout(resolve, warmUpSeconds * 1000))])
  measuring = true
  const start = performance.now()
  await Promise.race([failed, new Promise(resolve => setTimeout(resolve, seconds * 1000))])
  const elapsed = (performance.now() - start) / 1000
  measuring = false
  done = true
  const count = latencies.length
  await failed
  latencies.sort((a, b) => a - b)
  const at = q => latencies[Math.min(count - 1, Math.ceil(q * count) - 1)] ?? 0
  return { perSecond: count / elapsed, p50: at(0.5), p99: at(0.99) }
}

export const median = values => [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)]
export const round = value => (value >= 100 ? Math.round(value) : Math.round(value * 1000) / 1000)

/** Collects figures by name and turns them into the rows of a report. */
export function figures() {
  const all = new Map()
  return {
    add(name, unit, value) {
      if (!all.has(name)) all.set(name, { unit, values: [] })
      all.get(name).values.push(value)
    },
    median: name => median(all.get(name)?.values ?? [Number.NaN]),
    rows: () =>
      [...all].map(([name, { unit, values }]) => ({
        name,
        unit,
        median: round(median(values)),
        min: round(Math.min(...values)),
        max: round(Math.max(...values)),
        n: values.length,
      })),
  }
}
