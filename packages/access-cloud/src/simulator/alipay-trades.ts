import { beijingTime, decimalToMinor, minorToDecimal, parseBeijingTime } from '@aaas/access-cloud/payment'
import type { Clock, Ids } from '@aaas/core-cloud/kernel'
import type { Database, Queryable } from '@aaas/support-cloud/rdbms'
import { type AlipayAnswerBody, businessFailure, success } from './alipay-answer.js'
import type { AlipayNotifier } from './alipay-notifier.js'
import { findRefund, insertRefund, insertTrade, lockTrade, type TradeRow, updateTrade } from './trade-records.js'

export interface AlipayTradesDeps {
  readonly database: Database
  readonly clock: Clock
  readonly ids: Ids
  readonly notifier: AlipayNotifier
}

/** A verified request of an app: its business content and the addresses of the public parameters. */
export interface AlipayRequest {
  readonly appId: string
  readonly content: Readonly<Record<string, unknown>>
  readonly notifyUrl?: string
  readonly returnUrl?: string
}

const dayMs = 86_400_000
const notExist = (): AlipayAnswerBody => businessFailure('ACQ.TRADE_NOT_EXIST', '交易不存在')
const invalid = (name: string): AlipayAnswerBody => businessFailure('ACQ.INVALID_PARAMETER', `参数无效: ${name}`)

/** The trades of the simulated Alipay: what each API method does to them. */
export class AlipayTrades {
  readonly #deps: AlipayTradesDeps
  readonly methods: Readonly<Record<string, (request: AlipayRequest) => Promise<AlipayAnswerBody>>> = {
    'alipay.trade.query': request => this.#query(request),
    'alipay.trade.close': request => this.#close(request),
    'alipay.trade.refund': request => this.#refund(request),
    'alipay.trade.fastpay.refund.query': request => this.#refundQuery(request),
  }

  constructor(deps: AlipayTradesDeps) {
    this.#deps = deps
  }

  /**
   * The page method: opens the trade, or finds it when the merchant sends the buyer again.
   * @returns the token of the cashier page, or the reason why there is none.
   */
  async pagePay(request: AlipayRequest): Promise<{ readonly token: string } | AlipayAnswerBody> {
    const { content } = request
    const outTradeNo = text(content.out_trade_no, 64)
    const subject = text(content.subject, 256)
    const amount = decimalToMinor(String(content.total_amount))
    if (outTradeNo === undefined || !/^[\w-]+$/.test(outTradeNo)) return invalid('out_trade_no')
    if (subject === undefined) return invalid('subject')
    if (amount === undefined || amount < 1 || amount > 100_000_000_00) return invalid('total_amount')
    if (content.product_code !== 'FAST_INSTANT_TRADE_PAY') return invalid('product_code')
    const now = this.#deps.clock.now()
    const expiresAt = expiryOf(content, now)
    if (expiresAt === undefined) return invalid('time_expire')
    return this.#deps.database.transaction(async tx => {
      const row = await lockTrade(tx, { appId: request.appId, outTradeNo }, now)
      if (row === undefined) return this.#open(tx, { request, outTradeNo, subject, amount, expiresAt })
      if (row.amount !== amount || row.subject !== subject)
        return businessFailure('ACQ.CONTEXT_INCONSISTENT', '交易信息被篡改')
      if (row.status === 'TRADE_SUCCESS') return businessFailure('ACQ.TRADE_HAS_SUCCESS', '交易已被支付')
      if (row.status === 'TRADE_CLOSED') return businessFailure('ACQ.TRADE_HAS_CLOSE', '交易已经关闭')
      await updateTrade(tx, {
        ...row,
        return_url: request.returnUrl ?? row.return_url,
        notify_url: request.notifyUrl ?? row.notify_url,
      })
      return { token: row.token }
    })
  }

  /** The buyer opens the cashier page: from now on the API knows the trade. */
  see(token: string): Promise<TradeRow | undefined> {
    return this.#change(token, row => (row.status === 'OPENED' ? { ...row, status: 'WAIT_BUYER_PAY' } : row))
  }

  /** The buyer pays. Paying again, too late or a closed trade changes nothing. */
  pay(token: string): Promise<TradeRow | undefined> {
    const now = this.#deps.clock.now()
    return this.#change(token, row => {
      const payable = row.status === 'OPENED' || row.status === 'WAIT_BUYER_PAY'
      return payable ? { ...row, status: 'TRADE_SUCCESS', paid_at: now } : row
    })
  }

  async #change(token: string, next: (row: TradeRow) => TradeRow): Promise<TradeRow | undefined> {
    const { database, clock, notifier } = this.#deps
    return database.transaction(async tx => {
      const row = await lockTrade(tx, { token }, clock.now())
      if (row === undefined) return undefined
      const changed = next(row)
      if (changed === row) return row
      await updateTrade(tx, changed)
      if (changed.status === 'TRADE_SUCCESS') await notifier.enqueue(tx, changed)
      return changed
    })
  }

  async #open(
    tx: Queryable,
    order: {
      readonly request: AlipayRequest
      readonly outTradeNo: string
      readonly subject: string
      readonly amount: number
      readonly expiresAt: number
    },
  ): Promise<{ readonly token: string }> {
    const { clock, ids } = this.#deps
    const now = clock.now()
    const { request } = order
    const digits = (count: number): string =>
      Array.from({ length: count }, () => Math.floor(ids.random() * 10)).join('')
    const row: TradeRow = {
      trade_no: `${beijingTime(now).slice(0, 10).replaceAll('-', '')}22001${digits(15)}`,
      app_id: request.appId,
      out_trade_no: order.outTradeNo,
      token: ids.token(20),
      subject: order.subject,
      amount: order.amount,
      status: 'OPENED',
      refunded: 0,
      buyer_id: `2088${digits(12)}`,
      notify_url: request.notifyUrl ?? null,
      return_url: request.returnUrl ?? null,
      passback_params: text(request.content.passback_params, 512) ?? null,
      created_at: now,
      expires_at: order.expiresAt,
      paid_at: null,
      closed_at: null,
    }
    await insertTrade(tx, row)
    return { token: row.token }
  }

  #query(request: AlipayRequest): Promise<AlipayAnswerBody> {
    return this.#withTrade(request, async (_, row) => {
      const amount = minorToDecimal(row.amount)
      return success({
        ...numbersOf(row),
        buyer_logon_id: 'sim***@example.com',
        buyer_user_id: row.buyer_id,
        trade_status: row.status,
        total_amount: amount,
        ...(row.paid_at === null
          ? {}
          : {
              send_pay_date: beijingTime(row.paid_at),
              receipt_amount: amount,
              buyer_pay_amount: amount,
              invoice_amount: amount,
              point_amount: '0.00',
            }),
      })
    })
  }

  #close(request: AlipayRequest): Promise<AlipayAnswerBody> {
    return this.#withTrade(request, async (tx, row) => {
      if (row.status !== 'WAIT_BUYER_PAY') return businessFailure('ACQ.TRADE_STATUS_ERROR', '交易状态不合法')
      const closed = await updateTrade(tx, { ...row, status: 'TRADE_CLOSED', closed_at: this.#deps.clock.now() })
      await this.#deps.notifier.enqueue(tx, closed)
      return success(numbersOf(row))
    })
  }

  #refund(request: AlipayRequest): Promise<AlipayAnswerBody> {
    const { content } = request
    const amount = decimalToMinor(String(content.refund_amount))
    const outRequestNo = text(content.out_request_no, 64)
    return this.#withTrade(request, async (tx, row) => {
      if (amount === undefined || amount < 1) return invalid('refund_amount')
      if (row.paid_at === null) return businessFailure('ACQ.TRADE_STATUS_ERROR', '交易状态不合法')
      if (outRequestNo === undefined && amount !== row.amount) {
        return businessFailure('ACQ.REFUND_AMT_NOT_EQUAL_TOTAL', '撤销或退款金额与订单金额不一致')
      }
      const name = outRequestNo ?? row.out_trade_no
      const known = await findRefund(tx, { tradeNo: row.trade_no, outRequestNo: name })
      if (known !== undefined && known.amount !== amount)
        return businessFailure('ACQ.DISCORDANT_REPEAT_REQUEST', '不一致的请求')
      if (known !== undefined) return this.#refunded(row, known.at, 'N')
      if (amount > row.amount - row.refunded) return businessFailure('ACQ.REASON_TRADE_REFUND_FEE_ERR', '退款金额无效')
      const at = this.#deps.clock.now()
      const refund = { trade_no: row.trade_no, out_request_no: name, amount, at }
      await insertRefund(tx, refund)
      const refunded = row.refunded + amount
      const all = refunded === row.amount
      const next = await updateTrade(tx, {
        ...row,
        refunded,
        status: all ? 'TRADE_CLOSED' : row.status,
        closed_at: all ? at : null,
      })
      await this.#deps.notifier.enqueue(tx, next, refund)
      return this.#refunded(next, at, 'Y')
    })
  }

  #refunded(row: TradeRow, at: number, fundChange: 'Y' | 'N'): AlipayAnswerBody {
    return success({
      ...numbersOf(row),
      buyer_logon_id: 'sim***@example.com',
      buyer_user_id: row.buyer_id,
      fund_change: fundChange,
      gmt_refund_pay: beijingTime(at),
      refund_fee: minorToDecimal(row.refunded),
      send_back_fee: '0.00',
    })
  }

  #refundQuery(request: AlipayRequest): Promise<AlipayAnswerBody> {
    const outRequestNo = text(request.content.out_request_no, 64)
    return this.#withTrade(request, async (tx, row) => {
      if (outRequestNo === undefined) return invalid('out_request_no')
      const refund = await findRefund(tx, { tradeNo: row.trade_no, outRequestNo })
      // The real one answers "success" with no facts for a refund it does not know.
      if (refund === undefined) return success({})
      return success({
        ...numbersOf(row),
        out_request_no: outRequestNo,
        total_amount: minorToDecimal(row.amount),
        refund_amount: minorToDecimal(refund.amount),
        refund_status: 'REFUND_SUCCESS',
        gmt_refund_pay: beijingTime(refund.at),
      })
    })
  }

  async #withTrade(
    request: AlipayRequest,
    work: (tx: Queryable, row: TradeRow) => Promise<AlipayAnswerBody>,
  ): Promise<AlipayAnswerBody> {
    const { appId, content } = request
    const tradeNo = text(content.trade_no, 64)
    const outTradeNo = text(content.out_trade_no, 64)
    if (tradeNo === undefined && outTradeNo === undefined) return invalid('out_trade_no')
    return this.#deps.database.transaction(async tx => {
      const key = {
        appId,
        ...(tradeNo === undefined ? {} : { tradeNo }),
        ...(outTradeNo === undefined ? {} : { outTradeNo }),
      }
      const row = await lockTrade(tx, key, this.#deps.clock.now())
      return row === undefined || row.status === 'OPENED' ? notExist() : work(tx, row)
    })
  }
}

function numbersOf(row: TradeRow): { readonly out_trade_no: string; readonly trade_no: string } {
  return { out_trade_no: row.out_trade_no, trade_no: row.trade_no }
}

function text(value: unknown, maxChars: number): string | undefined {
  return typeof value === 'string' && value !== '' && value.length <= maxChars && !value.includes('\0')
    ? value
    : undefined
}

/** `time_expire` is a time in China; `timeout_express` is `90m`, `12h`, `3d`, or `1c`: until the end of the day. */
function expiryOf(content: Readonly<Record<string, unknown>>, now: number): number | undefined {
  const latest = now + 15 * dayMs
  if (content.time_expire !== undefined) {
    const at = parseBeijingTime(content.time_expire)
    return at === undefined ? undefined : Math.min(at, latest)
  }
  if (content.timeout_express === undefined) return latest
  if (content.timeout_express === '1c') return parseBeijingTime(`${beijingTime(now).slice(0, 10)} 23:59:59`)
  const match = /^(\d{1,5})([mhd])$/.exec(String(content.timeout_express))
  if (match === null) return undefined
  const unit = { m: 60_000, h: 3_600_000, d: dayMs }[match[2] as 'm' | 'h' | 'd']
  return Math.min(now + Number(match[1]) * unit, latest)
}
