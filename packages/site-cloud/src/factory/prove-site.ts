import { Agent, request } from 'node:http'
import { type Clock, CloudError, type Ids } from '@aaas/core-cloud/kernel'
import { intendedTimes, type LoadSummary, type Sample, summarise } from './load-core.js'

/** What the proof needs to know of the site; the command line gathers it from the platform. */
export interface ProofTarget {
  readonly port: number
  /** Host name the edge routes to the site. */
  readonly hostName: string
  readonly apiKey: string
  /** SKUs that can be ordered, at least one. */
  readonly skus: readonly string[]
  readonly slugs: readonly string[]
}

export interface ProofOptions {
  readonly target: ProofTarget
  readonly ordersPerMinute: number
  readonly p99Ms: number
  readonly readsPerOrder: number
  readonly seconds: number
  readonly clock: Clock
  readonly ids: Ids
  readonly progress?: (text: string) => void
}

export interface Proof {
  readonly met: boolean
  readonly asked: { readonly ordersPerMinute: number; readonly p99Ms: number }
  readonly seconds: number
  readonly orders: LoadSummary
  readonly reads: LoadSummary
  /** Orders that were acknowledged; the caller closes them again. */
  readonly placed: readonly { readonly number: string; readonly accessToken: string }[]
  readonly reasons: readonly string[]
}

const requestDeadlineMs = 15_000

/**
 * Sends an open-loop load at the asked rate through the edge and says whether the site does what was asked: every
 * order and read answered, the rate reached, and 99 of 100 within the asked time counted from the intended send time.
 */
export async function proveSite(options: ProofOptions): Promise<Proof> {
  const { target, clock, ids, seconds } = options
  if (target.skus.length === 0)
    throw new CloudError('site.prove.not-met', 'the site has nothing on the shelf that could be ordered')
  const agent = new Agent({ keepAlive: true, maxSockets: 256 })
  const placed: { number: string; accessToken: string }[] = []
  const perSecond = options.ordersPerMinute / 60
  const random = (): number => ids.random()
  const plan = [
    ...intendedTimes({ perSecond, seconds, random }).map(at => ({ at, kind: 'order' })),
    ...intendedTimes({ perSecond: perSecond * options.readsPerOrder, seconds, random }).map(at => ({
      at,
      kind: 'read',
    })),
  ].sort((a, b) => a.at - b.at)
  const start = clock.monotonic()
  const samples: Sample[] = []
  const running = new Set<Promise<void>>()
  const send = async (kind: string, intended: number): Promise<void> => {
    const ok = kind === 'order' ? await order(agent, target, options, placed) : await read(agent, target, random)
    samples.push({ kind, intended, finished: clock.monotonic() - start, ok })
  }
  let told = 0
  for (const { at, kind } of plan) {
    const wait = at - (clock.monotonic() - start)
    if (wait > 1) await new Promise<void>(resolve => clock.after(wait, resolve))
    const work = send(kind, at).finally(() => running.delete(work))
    running.add(work)
    const second = Math.floor(at / 1000)
    if (second >= told + 5) {
      told = second
      options.progress?.(`${second} of ${seconds} s, ${samples.length} answered, ${running.size} in flight`)
    }
  }
  await Promise.all(running)
  agent.destroy()
  return verdict(options, samples, placed)
}

function verdict(options: ProofOptions, samples: readonly Sample[], placed: Proof['placed']): Proof {
  const orders = summarise('order', samples, options.seconds)
  const reads = summarise('read', samples, options.seconds)
  const reasons: string[] = []
  for (const one of [orders, reads]) {
    if (one.failed > 0) reasons.push(`${one.failed} of ${one.sent} ${one.kind}s failed`)
    if (one.p99Ms > options.p99Ms) reasons.push(`p99 of ${one.kind}s was ${one.p99Ms} ms, asked ${options.p99Ms} ms`)
  }
  if (orders.sent === 0) reasons.push('no order was sent: the run is too short for the asked rate')
  return {
    met: reasons.length === 0,
    asked: { ordersPerMinute: options.ordersPerMinute, p99Ms: options.p99Ms },
    seconds: options.seconds,
    orders,
    reads,
    placed,
    reasons,
  }
}

async function read(agent: Agent, target: ProofTarget, random: () => number): Promise<boolean> {
  const slug = target.slugs[Math.floor(random() * target.slugs.length)] ?? ''
  const paths = [
    '/en/',
    `/en/product/${slug}`,
    `/zh-CN/product/${slug}`,
    `/api/products/${slug}`,
    '/api/products?limit=20',
    '/api/search?text=cup',
  ]
  const { status } = await call(agent, target, 'GET', paths[Math.floor(random() * paths.length)] ?? '/', undefined, {})
  return status === 200
}

async function order(
  agent: Agent,
  target: ProofTarget,
  options: ProofOptions,
  placed: { number: string; accessToken: string }[],
): Promise<boolean> {
  const pick = (): string => target.skus[Math.floor(options.ids.random() * target.skus.length)] ?? ''
  const skus = [...new Set([pick(), pick()])]
  const body = JSON.stringify({
    lines: skus.map(sku => ({ sku, quantity: 1 })),
    language: 'en',
    address: { name: 'Proof of performance', phone: '13800000000', region: 'Test', line: 'Closed again after the run' },
  })
  const { status, text } = await call(agent, target, 'POST', '/api/orders', body, {
    'idempotency-key': options.ids.uuid(),
  })
  if (status !== 201) return false
  const answer = JSON.parse(text) as { number: string; accessToken: string }
  placed.push({ number: answer.number, accessToken: answer.accessToken })
  return true
}

function call(
  agent: Agent,
  target: ProofTarget,
  method: string,
  path: string,
  body: string | undefined,
  headers: Record<string, string>,
): Promise<{ status: number; text: string }> {
  return new Promise(resolve => {
    const outgoing = request(
      {
        agent,
        host: '127.0.0.1',
        port: target.port,
        method,
        path,
        timeout: requestDeadlineMs,
        headers: {
          host: target.hostName,
          authorization: `Bearer ${target.apiKey}`,
          ...(body === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
          ...headers,
        },
      },
      response => {
        const parts: Buffer[] = []
        response.on('data', (part: Buffer) => parts.push(part))
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') }),
        )
        response.on('error', () => resolve({ status: 0, text: '' }))
      },
    )
    outgoing.on('timeout', () => outgoing.destroy())
    outgoing.on('error', () => resolve({ status: 0, text: '' }))
    outgoing.end(body)
  })
}
