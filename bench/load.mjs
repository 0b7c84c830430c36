// Closed-loop load on loopback: callers that send the next request when the last is answered. Bounded in time.
import { Agent, request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'

/** @param options.keepBody - keep the text of every answer, not only of refusals. */
export function caller({ port, hostName = '127.0.0.1', headers = {}, sockets, keepBody = false }) {
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
            const { statusCode: status, headers } = response
            const kept = []
            response.on('data', part => {
              if (keepBody || status >= 300) kept.push(part)
            })
            response.on('end', () => resolve({ status, headers, text: Buffer.concat(kept).toString() }))
            response.on('error', reject)
          },
        )
        outgoing.on('error', reject)
        outgoing.end(body)
      }),
    close: () => agent.destroy(),
  }
}

/** @returns the answer, when it has the status that counts as done. */
export function answered(wanted, answer) {
  if (answer.status !== wanted) throw new Error(`${answer.status} instead of ${wanted}: ${answer.text.slice(0, 300)}`)
  return answer
}

/**
 * Runs `seconds` of load after a warm-up, and on until `atLeast` requests were answered, `mostSeconds` at the longest.
 * The warm-up likewise lasts until there was one answer for each caller. A request counts by the part of it that lies
 * inside what is measured: of a system that takes seconds to answer, the luck of a few answers would decide otherwise.
 * @returns requests per second and p50/p99 in milliseconds.
 */
export async function closedLoop({ callers, seconds, send, warmUpSeconds = 0.4, atLeast = 0, mostSeconds = seconds }) {
  const spans = []
  let done = false
  let notice = () => undefined
  const work = Promise.all(
    Array.from({ length: callers }, async (_, worker) => {
      for (let round = 0; !done; round++) {
        const from = performance.now()
        await send(worker, round).catch(error => {
          done = true
          throw error
        })
        spans.push({ from, to: performance.now() })
        notice()
      }
    }),
  )
  const phase = async (least, count, most) => {
    const before = spans.length
    const enough = new Promise(resolve => {
      notice = () => spans.length - before >= count && resolve()
    })
    const timer = ms => pause(ms, undefined, { ref: false })
    await Promise.race([work, Promise.all([timer(least * 1000), Promise.race([enough, timer(most * 1000)])])])
  }
  await phase(warmUpSeconds, callers, mostSeconds)
  const start = performance.now()
  await phase(seconds, atLeast, mostSeconds)
  const end = performance.now()
  done = true
  await work
  const parts = spans.map(({ from, to }) => ({
    ms: to - from,
    inside: Math.max(0, Math.min(to, end) - Math.max(from, start)),
  }))
  const counted = parts.filter(({ inside }) => inside > 0).sort((a, b) => a.ms - b.ms)
  const perSecond = (counted.reduce((sum, { ms, inside }) => sum + inside / ms, 0) / (end - start)) * 1000
  const at = q => counted[Math.ceil(q * counted.length) - 1]?.ms ?? 0
  return { perSecond, p50: at(0.5), p99: at(0.99) }
}

/** Loads a system with one kind of its work and adds what came out to the figures. */
export async function measure({ all, name, system, callers, ...bounds }) {
  const client = caller({ ...system.target, sockets: callers })
  try {
    const send = (worker, round) => system.work[name](client, worker, round)
    const { perSecond, p50, p99 } = await closedLoop({ callers, send, ...bounds })
    const row = `${name} ${system.label} c=${callers}`
    all.add(row, '1/s', perSecond)
    all.add(`${row} p50`, 'ms', p50)
    all.add(`${row} p99`, 'ms', p99)
  } finally {
    client.close()
  }
}

export const median = values => [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)]
export const round = value => (value >= 100 ? Math.round(value) : Math.round(value * 1000) / 1000)

/** Collects figures by name and turns them into the rows and ratios of a report. */
export function figures() {
  const all = new Map()
  const medianOf = name => median(all.get(name)?.values ?? [Number.NaN])
  return {
    add(name, unit, value) {
      if (!all.has(name)) all.set(name, { unit, values: [] })
      all.get(name).values.push(value)
    },
    median: medianOf,
    rows: () =>
      [...all].map(([name, { unit, values }]) => ({
        name,
        unit,
        median: round(median(values)),
        min: round(Math.min(...values)),
        max: round(Math.max(...values)),
        n: values.length,
      })),
    /** The medians of two rows, the first by the second. Without `must` it only informs. */
    ratio: ({ name, of, by, must, better = 'higher' }) => ({
      name,
      value: round(medianOf(of) / medianOf(by)),
      ...(must === undefined ? {} : { must }),
      better,
    }),
  }
}
