import { type Clock, CloudError } from '@aaas/core-cloud/kernel'
import type { RatePool } from '../pool/pool.js'
import { type AlipayAnswer, AlipayClient } from './alipay-client.js'
import { type AlipayErrorClass, classifyAlipayError } from './alipay-errors.js'
import { rsaPrivateKey, rsaPublicKey, verifyNotification } from './alipay-signature.js'
import { decimalToMinor, minorToDecimal } from './decimal-amount.js'
import type {
  Outcome,
  PaymentProvider,
  ProviderCall,
  ProviderNotification,
  RefundOrder,
  Trade,
  TradeStatus,
} from './provider.js'
import { beijingTime, parseBeijingTime } from './system-beijing-time.js'

export interface AlipayProviderOptions {
  /** `https://openapi.alipay.com/gateway.do`, the sandbox's, or a simulator's. */
  readonly gatewayUrl: string
  readonly appId: string
  /** The merchant's Alipay user id (`2088...`): notifications for another seller are refused. */
  readonly sellerId: string
  /** Our private key: PEM or base64 PKCS#8/PKCS#1. */
  readonly privateKeyPem: string
  /** Alipay's public key (not ours): PEM or base64. */
  readonly alipayPublicKeyPem: string
  /** Where Alipay posts notifications. */
  readonly notifyUrl: string
  readonly clock: Clock
  /** The app's quota at Alipay; shared by all tenants. */
  readonly pool: RatePool
  /** Default: the global one. */
  readonly fetch?: typeof fetch
  /** Milliseconds a sent call may take, default 10_000. */
  readonly timeoutMs?: number
}

const tradeStatuses: Readonly<Record<string, TradeStatus>> = {
  WAIT_BUYER_PAY: 'waiting',
  TRADE_SUCCESS: 'paid',
  TRADE_FINISHED: 'paid',
  TRADE_CLOSED: 'closed',
}

/** Alipay's desktop page payment (`FAST_INSTANT_TRADE_PAY`) with query, close and refund, in the public-key mode. */
export function alipayProvider(options: AlipayProviderOptions): PaymentProvider {
  return new AlipayProvider(options)
}

class AlipayProvider implements PaymentProvider {
  readonly name = 'alipay'
  readonly #options: AlipayProviderOptions
  readonly #client: AlipayClient
  readonly #alipayPublicKey

  constructor(options: AlipayProviderOptions) {
    this.#options = options
    this.#alipayPublicKey = rsaPublicKey(options.alipayPublicKeyPem)
    this.#client = new AlipayClient({
      gatewayUrl: options.gatewayUrl,
      appId: options.appId,
      privateKey: rsaPrivateKey(options.privateKeyPem),
      alipayPublicKey: this.#alipayPublicKey,
      clock: options.clock,
      pool: options.pool,
      fetch: options.fetch ?? fetch,
      timeoutMs: options.timeoutMs ?? 10_000,
    })
  }

  prepay(order: Parameters<PaymentProvider['prepay']>[0]): string {
    return this.#client.pageUrl('alipay.trade.page.pay', {
      content: {
        out_trade_no: order.tradeId,
        product_code: 'FAST_INSTANT_TRADE_PAY',
        total_amount: minorToDecimal(order.amount),
        subject: order.subject,
        time_expire: beijingTime(order.expiresAt),
      },
      extra: { notify_url: this.#options.notifyUrl, return_url: order.returnUrl },
    })
  }

  async query(tradeId: string, call: ProviderCall): Promise<Outcome<Trade>> {
    const answer = await this.#client.call('alipay.trade.query', { out_trade_no: tradeId }, call)
    const problem = problemOf(answer)
    if (problem !== undefined) return problem.class === 'absent' ? done({ status: 'absent' }) : failed(problem)
    const { body } = answer as AlipayAnswer & { answered: true }
    const status = tradeStatuses[String(body.trade_status)]
    // A status this version does not know must not be taken for "not paid".
    if (status === undefined || body.out_trade_no !== tradeId) return unknown('unexpected-answer', JSON.stringify(body))
    return done(tradeOf(status, body))
  }

  async close(tradeId: string, call: ProviderCall): Promise<Outcome<Trade>> {
    const answer = await this.#client.call('alipay.trade.close', { out_trade_no: tradeId }, call)
    const problem = problemOf(answer)
    if (problem === undefined) return done({ status: 'closed' })
    if (problem.class === 'absent') return done({ status: 'absent' })
    if (problem.class !== 'refused') return failed(problem)
    // "Wrong status" means paid or closed already: only the trade itself tells which.
    const trade = await this.#queryAfter(tradeId, call)
    if (trade.outcome !== 'done') return trade
    return trade.value.status === 'waiting' ? failed(problem) : trade
  }

  async refund(order: RefundOrder, call: ProviderCall): Promise<Outcome<undefined>> {
    const answer = await this.#client.call(
      'alipay.trade.refund',
      {
        out_trade_no: order.tradeId,
        refund_amount: minorToDecimal(order.amount),
        refund_reason: order.reason,
        out_request_no: order.refundId,
      },
      call,
    )
    const problem = problemOf(answer)
    if (problem !== undefined) return failed(problem)
    if ((answer as AlipayAnswer & { answered: true }).body.fund_change === 'Y') return done(undefined)
    // 10000 with fund_change N is a repeat, or a refund still under way: success is only what the refund query says.
    return this.#confirmRefund(order, call)
  }

  parseNotification(params: Readonly<Record<string, string>>): ProviderNotification {
    if (!verifyNotification(params, this.#alipayPublicKey)) {
      throw new CloudError('access.payment.bad-signature', 'the signature of the notification does not verify')
    }
    for (const [field, expected] of [
      ['app_id', this.#options.appId],
      ['seller_id', this.#options.sellerId],
    ] as const) {
      if (params[field] !== expected) {
        throw new CloudError('access.payment.mismatch', `the notification is for another ${field}`, { field })
      }
    }
    const rawStatus = usable(params, 'trade_status')
    const status = tradeStatuses[rawStatus]
    if (status === undefined) throw unusable('trade_status')
    return {
      ...tradeOf(status, params),
      notifyId: usable(params, 'notify_id'),
      tradeId: usable(params, 'out_trade_no'),
      rawStatus,
      amount: decimalToMinor(params.total_amount),
      refunded: params.gmt_refund !== undefined || params.refund_fee !== undefined,
    }
  }

  async #confirmRefund(order: RefundOrder, call: ProviderCall): Promise<Outcome<undefined>> {
    const content = { out_trade_no: order.tradeId, out_request_no: order.refundId }
    const answer = await this.#callAgain('alipay.trade.fastpay.refund.query', content, call)
    const problem = problemOf(answer)
    if (problem !== undefined) return unknown(problem.code, problem.message)
    const { body } = answer as AlipayAnswer & { answered: true }
    const confirmed = body.refund_status === 'REFUND_SUCCESS' && decimalToMinor(body.refund_amount) === order.amount
    return confirmed ? done(undefined) : unknown('refund-unconfirmed', JSON.stringify(body).slice(0, 300))
  }

  async #queryAfter(tradeId: string, call: ProviderCall): Promise<Outcome<Trade>> {
    try {
      return await this.query(tradeId, call)
    } catch (error) {
      return unknown('not-asked', CloudError.from(error).message)
    }
  }

  /** The second call of an operation: when the pool has no room for it, the first one has been sent all the same. */
  async #callAgain(method: string, content: object, call: ProviderCall): Promise<AlipayAnswer> {
    try {
      return await this.#client.call(method, content, call)
    } catch (error) {
      return { answered: false, code: 'not-asked', message: CloudError.from(error).message }
    }
  }
}

function usable(params: Readonly<Record<string, string>>, field: string): string {
  const value = params[field] ?? ''
  if (value === '' || value.length > 128) throw unusable(field)
  return value
}

function unusable(field: string): CloudError {
  return new CloudError('access.payment.mismatch', `the notification has no usable ${field}`, { field })
}

interface Problem {
  readonly class: AlipayErrorClass
  readonly code: string
  readonly message: string
}

function problemOf(answer: AlipayAnswer): Problem | undefined {
  if (!answer.answered) return { class: 'unknown', code: answer.code, message: answer.message }
  const code = String(answer.body.code)
  if (code === '10000') return undefined
  const subCode = typeof answer.body.sub_code === 'string' ? answer.body.sub_code : undefined
  const message = String(answer.body.sub_msg ?? answer.body.msg ?? '').slice(0, 300)
  return { class: classifyAlipayError(code, subCode), code: subCode ?? code, message }
}

function failed({ class: kind, code, message }: Problem): Outcome<never> {
  return { outcome: kind === 'absent' ? 'refused' : kind, code, message }
}

function unknown(code: string, message: string): Outcome<never> {
  return { outcome: 'unknown', code, message }
}

function done<T>(value: T): Outcome<T> {
  return { outcome: 'done', value }
}

function tradeOf(status: TradeStatus, facts: Readonly<Record<string, unknown>>): Trade {
  const amount = decimalToMinor(facts.total_amount)
  const paidAt = parseBeijingTime(facts.send_pay_date ?? facts.gmt_payment)
  return {
    status,
    ...(typeof facts.trade_no === 'string' ? { providerTradeNo: facts.trade_no } : {}),
    ...(amount === undefined ? {} : { amount }),
    ...(paidAt === undefined ? {} : { paidAt }),
  }
}
