import { type Clock, CloudError, type Ids } from '@aaas/core-cloud/kernel'
import { intendedTimes, type LoadSummary, type Sample, summarise } from './load-core.js'
import { openLoop } from './open-loop.js'
import { type LoadTarget, type PlacedOrder, ShopRequests } from './shop-requests.js'

export interface ProofOptions {
  readonly target: LoadTarget
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
  readonly placed: readonly PlacedOrder[]
  readonly reasons: readonly string[]
}

/**
 * Sends an open-loop load at the asked rate through the edge and says whether the site does what was asked: every
 * order and read answered, the rate reached, and 99 of 100 within the asked time counted from the intended send time.
 */
export async function proveSite(options: ProofOptions): Promise<Proof> {
  const { target, clock, ids, seconds } = options
  if (target.skus.length === 0)
    throw new CloudError('site.prove.not-met', 'the site has nothing on the shelf that could be ordered')
  const placed: PlacedOrder[] = []
  const requests = new ShopRequests({ target, ids, onPlaced: order => void placed.push(order) })
  const perSecond = options.ordersPerMinute / 60
  const random = (): number => ids.random()
  const plan = [
    ...intendedTimes({ perSecond, seconds, random }).map(at => ({ at, kind: 'order' })),
    ...intendedTimes({ perSecond: perSecond * options.readsPerOrder, seconds, random }).map(at => ({
      at,
      kind: 'read',
    })),
  ].sort((a, b) => a.at - b.at)
  let told = 0
  const onSend = (at: number, answered: number, inFlight: number): void => {
    const second = Math.floor(at / 1000)
    if (second < told + 5) return
    told = second
    options.progress?.(`${second} of ${seconds} s, ${answered} answered, ${inFlight} in flight`)
  }
  const samples = await openLoop({ plan, send: kind => requests.send(kind), clock, onSend })
  requests.close()
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
