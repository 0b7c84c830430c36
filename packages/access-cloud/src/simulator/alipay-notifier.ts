import type { KeyObject } from 'node:crypto'
import { beijingTime, minorToDecimal, Poller, signNotification } from '@aaas/access-cloud/payment'
import type { Clock, Ids, Logger } from '@aaas/core-cloud/kernel'
import type { Database, Queryable } from '@aaas/support-cloud/rdbms'
import type { FaultPlans } from './fault-plans.js'
import { lockExpired, type RefundRow, type TradeRow, updateTrade } from './trade-records.js'

export interface AlipayNotifierDeps {
  readonly database: Database
  readonly faults: FaultPlans
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  readonly privateKey: KeyObject
  readonly fetch: typeof fetch
  /** Seller of an app; undefined for an app that is no longer configured. */
  readonly sellerOf: (appId: string) => string | undefined
  readonly delaysSeconds: readonly number[]
  readonly pollMs: number
}

interface NotifyRow {
  readonly id: number
  readonly url: string
  readonly params: Record<string, string>
  readonly attempts: number
  readonly drop_left: number
  readonly wrong_signature: boolean
}

/** The real schedule: eight notifications over about 25 hours. */
export const alipayNotifyDelaysSeconds: readonly number[] = [240, 600, 600, 3_600, 7_200, 21_600, 54_000]

const batch = 16
const leaseMs = 60_000
const answerTimeoutMs = 5_000

/** Posts signed notifications to merchants until they answer `success`, by the real schedule, from the database. */
export class AlipayNotifier {
  readonly #deps: AlipayNotifierDeps
  readonly #poller: Poller

  constructor(deps: AlipayNotifierDeps) {
    this.#deps = deps
    const { clock, logger, pollMs } = deps
    this.#poller = new Poller({ name: 'alipay notifier', clock, logger, intervalMs: pollMs, run: () => this.runDue() })
  }

  start(): void {
    this.#poller.start()
  }

  poke(): void {
    this.#poller.poke()
  }

  stop(): Promise<void> {
    return this.#poller.stop()
  }

  /** Writes the notification of a trade's new status inside the change's transaction, with the planned faults. */
  async enqueue(tx: Queryable, trade: TradeRow, refund?: RefundRow): Promise<void> {
    if (trade.notify_url === null) return
    const { clock, faults } = this.#deps
    const now = clock.now()
    const plan = await faults.notifyPlan({ appId: trade.app_id, outTradeNo: trade.out_trade_no }, tx)
    const params = this.#params(trade, refund)
    if (plan.wrongAmount) params.total_amount = minorToDecimal(trade.amount + 1)
    const entry = { trade, url: trade.notify_url, at: now + (plan.delayMs ?? 0), drop: plan.drop ?? 0 }
    const wrongSignature = plan.wrongSignature ?? false
    for (let copy = 0; copy <= (plan.duplicates ?? 0); copy++)
      await this.#insert(tx, { ...entry, params, wrongSignature })
    if (plan.outOfOrder && trade.status === 'TRADE_SUCCESS' && refund === undefined) {
      const late = this.#params({ ...trade, status: 'WAIT_BUYER_PAY' })
      await this.#insert(tx, { ...entry, at: entry.at + 1_000, params: late, wrongSignature })
    }
  }

  /** Closes what has expired and sends what is due, at most one batch. @returns how much was done. */
  async runDue(): Promise<number> {
    const { database, clock } = this.#deps
    const now = clock.now()
    const [work] = await database.query<{ found: boolean }>({
      name: 'sim-work',
      // One cheap look, so that an idle simulator costs next to nothing.
      text: `select exists (select from sim_alipay_notify where next_at <= $1) or exists (
        select from sim_alipay_trade where expires_at <= $1 and status in ('OPENED', 'WAIT_BUYER_PAY')) as found`,
      values: [now],
    })
    if (!work?.found) return 0
    const expired = await database.transaction(async tx => {
      const rows = await lockExpired(tx, now)
      for (const row of rows) {
        const closed = await updateTrade(tx, { ...row, status: 'TRADE_CLOSED', closed_at: row.expires_at })
        if (row.status === 'WAIT_BUYER_PAY') await this.enqueue(tx, closed)
      }
      return rows.length
    })
    const due = await database.query<NotifyRow>({
      name: 'sim-notify-claim',
      text: `with due as (
          select id, drop_left from sim_alipay_notify where next_at <= $1 order by next_at, id limit ${batch}
          for update skip locked)
        update sim_alipay_notify notify
        set next_at = $1 + ${leaseMs}, attempts = attempts + 1, drop_left = greatest(0, notify.drop_left - 1)
        from due where notify.id = due.id
        returning notify.id, url, params, attempts, due.drop_left, wrong_signature`,
      values: [now],
    })
    await Promise.all(due.map(row => this.#send(row)))
    return expired + due.length
  }

  #params(trade: TradeRow, refund?: RefundRow): Record<string, string> {
    const { clock, ids, sellerOf } = this.#deps
    const now = clock.now()
    const amount = minorToDecimal(trade.amount)
    const paid = trade.paid_at !== null && trade.status !== 'WAIT_BUYER_PAY'
    return {
      notify_time: beijingTime(now),
      notify_type: 'trade_status_sync',
      notify_id: `${beijingTime(now).slice(0, 10).replaceAll('-', '')}${ids.token(15)}`,
      app_id: trade.app_id,
      auth_app_id: trade.app_id,
      charset: 'utf-8',
      version: '1.0',
      sign_type: 'RSA2',
      trade_no: trade.trade_no,
      out_trade_no: trade.out_trade_no,
      seller_id: sellerOf(trade.app_id) ?? '',
      buyer_id: trade.buyer_id,
      trade_status: trade.status,
      subject: trade.subject,
      total_amount: amount,
      gmt_create: beijingTime(trade.created_at),
      ...(trade.passback_params === null ? {} : { passback_params: trade.passback_params }),
      ...(paid
        ? {
            gmt_payment: beijingTime(trade.paid_at ?? now),
            receipt_amount: amount,
            invoice_amount: amount,
            buyer_pay_amount: amount,
            point_amount: '0.00',
            fund_bill_list: JSON.stringify([{ amount, fundChannel: 'ALIPAYACCOUNT' }]),
          }
        : {}),
      ...(refund === undefined
        ? {}
        : {
            refund_fee: minorToDecimal(trade.refunded),
            gmt_refund: `${beijingTime(refund.at)}.000`,
            out_biz_no: refund.out_request_no,
          }),
      ...(trade.closed_at === null ? {} : { gmt_close: beijingTime(trade.closed_at) }),
    }
  }

  async #insert(
    tx: Queryable,
    entry: {
      readonly trade: TradeRow
      readonly url: string
      readonly at: number
      readonly drop: number
      readonly params: Readonly<Record<string, string>>
      readonly wrongSignature: boolean
    },
  ): Promise<void> {
    await tx.query({
      name: 'sim-notify-insert',
      text: `insert into sim_alipay_notify (app_id, out_trade_no, url, params, next_at, drop_left, wrong_signature)
        values ($1, $2, $3, $4, $5, $6, $7)`,
      values: [
        entry.trade.app_id,
        entry.trade.out_trade_no,
        entry.url,
        JSON.stringify(entry.params),
        entry.at,
        entry.drop,
        entry.wrongSignature,
      ],
    })
  }

  async #send(row: NotifyRow): Promise<void> {
    const { database, clock, delaysSeconds, logger } = this.#deps
    const answer = row.drop_left > 0 ? 'lost on the way (planned)' : await this.#post(row)
    const delay = delaysSeconds[row.attempts - 1]
    const nextAt = answer === 'success' || delay === undefined ? null : clock.now() + delay * 1_000
    if (answer !== 'success')
      logger.warn('merchant did not take a notification', { url: row.url, answer, attempt: row.attempts })
    await database.query({
      name: 'sim-notify-answered',
      text: 'update sim_alipay_notify set next_at = $2, last_answer = $3 where id = $1',
      values: [row.id, nextAt, answer.slice(0, 200)],
    })
  }

  async #post(row: NotifyRow): Promise<string> {
    const { clock, privateKey } = this.#deps
    const params = signNotification(row.params, privateKey)
    // A signature of the right form over other content: what a forger without the key can do.
    if (row.wrong_signature) params.sign = signNotification({ ...row.params, forged: '1' }, privateKey).sign ?? ''
    const abort = new AbortController()
    const cancel = clock.after(answerTimeoutMs, () => abort.abort(new Error('no answer')))
    try {
      const response = await this.#deps.fetch(row.url, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded;charset=utf-8' },
        body: new URLSearchParams(params).toString(),
        redirect: 'manual',
        signal: abort.signal,
      })
      const body = await response.text()
      return response.status === 200 ? body : `HTTP ${response.status}`
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    } finally {
      cancel()
    }
  }
}
