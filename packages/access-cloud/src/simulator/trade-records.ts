import type { Queryable } from '@aaas/support-cloud/rdbms'

type SimulatedStatus = 'OPENED' | 'WAIT_BUYER_PAY' | 'TRADE_SUCCESS' | 'TRADE_CLOSED'

export interface TradeRow {
  readonly trade_no: string
  readonly app_id: string
  readonly out_trade_no: string
  readonly token: string
  readonly subject: string
  readonly amount: number
  readonly status: SimulatedStatus
  readonly refunded: number
  readonly buyer_id: string
  readonly notify_url: string | null
  readonly return_url: string | null
  readonly passback_params: string | null
  readonly created_at: number
  readonly expires_at: number
  readonly paid_at: number | null
  readonly closed_at: number | null
}

export interface RefundRow {
  readonly trade_no: string
  readonly out_request_no: string
  readonly amount: number
  readonly at: number
}

type Key =
  | { readonly token: string }
  | { readonly appId: string; readonly outTradeNo?: string; readonly tradeNo?: string }

/** Finds and locks a trade; one whose time is over is closed on the way, as the real one would find it. */
export async function lockTrade(tx: Queryable, key: Key, now: number): Promise<TradeRow | undefined> {
  const [row] =
    'token' in key
      ? await tx.query<TradeRow>({
          name: 'sim-trade-by-token',
          text: 'select * from sim_alipay_trade where token = $1 for update',
          values: [key.token],
        })
      : await tx.query<TradeRow>({
          name: 'sim-trade-by-number',
          // The provider's own number wins when both are given.
          text: `select * from sim_alipay_trade where app_id = $1
            and case when $2::text is null then out_trade_no = $3 else trade_no = $2 end for update`,
          values: [key.appId, key.tradeNo ?? null, key.outTradeNo ?? null],
        })
  if (row === undefined || now < row.expires_at) return row
  if (row.status !== 'OPENED' && row.status !== 'WAIT_BUYER_PAY') return row
  return updateTrade(tx, { ...row, status: 'TRADE_CLOSED', closed_at: row.expires_at })
}

export async function updateTrade(tx: Queryable, row: TradeRow): Promise<TradeRow> {
  await tx.query({
    name: 'sim-trade-update',
    text: `update sim_alipay_trade set status = $2, refunded = $3, return_url = $4, notify_url = $5, paid_at = $6,
      closed_at = $7 where trade_no = $1`,
    values: [row.trade_no, row.status, row.refunded, row.return_url, row.notify_url, row.paid_at, row.closed_at],
  })
  return row
}

export async function insertTrade(tx: Queryable, row: TradeRow): Promise<void> {
  await tx.query({
    name: 'sim-trade-insert',
    text: `insert into sim_alipay_trade (trade_no, app_id, out_trade_no, token, subject, amount, status, buyer_id,
        notify_url, return_url, passback_params, created_at, expires_at)
      values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
    values: [
      row.trade_no,
      row.app_id,
      row.out_trade_no,
      row.token,
      row.subject,
      row.amount,
      row.status,
      row.buyer_id,
      row.notify_url,
      row.return_url,
      row.passback_params,
      row.created_at,
      row.expires_at,
    ],
  })
}

export async function findRefund(
  tx: Queryable,
  { tradeNo, outRequestNo }: { readonly tradeNo: string; readonly outRequestNo: string },
): Promise<RefundRow | undefined> {
  const [row] = await tx.query<RefundRow>({
    name: 'sim-refund-find',
    text: 'select * from sim_alipay_refund where trade_no = $1 and out_request_no = $2',
    values: [tradeNo, outRequestNo],
  })
  return row
}

export async function insertRefund(tx: Queryable, row: RefundRow): Promise<void> {
  await tx.query({
    name: 'sim-refund-insert',
    text: 'insert into sim_alipay_refund (trade_no, out_request_no, amount, at) values ($1, $2, $3, $4)',
    values: [row.trade_no, row.out_request_no, row.amount, row.at],
  })
}

export async function listTrades(
  database: Queryable,
  { appId, limit }: { readonly appId: string; readonly limit: number },
): Promise<readonly TradeRow[]> {
  return database.query<TradeRow>({
    text: 'select * from sim_alipay_trade where app_id = $1 order by created_at desc, trade_no desc limit $2',
    values: [appId, limit],
  })
}

/** Unpaid trades whose time is over, locked; other processes' ones are left to them. */
export async function lockExpired(tx: Queryable, now: number): Promise<readonly TradeRow[]> {
  return tx.query<TradeRow>({
    name: 'sim-trade-expired',
    text: `select * from sim_alipay_trade where expires_at <= $1 and status in ('OPENED', 'WAIT_BUYER_PAY')
      order by expires_at limit 100 for update skip locked`,
    values: [now],
  })
}
