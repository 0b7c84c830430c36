/** Where a trade stands at the provider. `absent`: it knows no such trade (the buyer never opened the page). */
export type TradeStatus = 'absent' | 'waiting' | 'paid' | 'closed'

export interface Trade {
  readonly status: TradeStatus
  readonly providerTradeNo?: string
  /** Minor units. */
  readonly amount?: number
  /** Epoch milliseconds. */
  readonly paidAt?: number
}

/**
 * How a provider call ended.
 * done: it happened (or had happened before); refused: it definitely did not and never will as it stands;
 * retry: it did not happen, the same call may succeed later; unknown: nobody knows, only asking again tells.
 */
export type Outcome<T> =
  | { readonly outcome: 'done'; readonly value: T }
  | { readonly outcome: 'refused' | 'retry' | 'unknown'; readonly code: string; readonly message: string }

export interface ProviderCall {
  /** Whose share of the provider's quota is used. */
  readonly tenant: string
  /** Absolute epoch milliseconds. */
  readonly deadline: number
  /** Stops waiting for quota. A call that was sent is always waited for: its outcome matters to the next one. */
  readonly signal?: AbortSignal
}

export interface PrepayOrder {
  /** Our unique name of the trade, 32 letters and digits; the same for every repeat. */
  readonly tradeId: string
  readonly amount: number
  readonly subject: string
  readonly returnUrl: string
  /** Epoch milliseconds; the provider refuses payment from then on (rounded down to its resolution). */
  readonly expiresAt: number
}

export interface RefundOrder {
  readonly tradeId: string
  /** Unique name of this refund within the trade; repeats change nothing. */
  readonly refundId: string
  readonly amount: number
  readonly reason: string
}

/** A message of the provider whose signature and addressee have been checked. */
export interface ProviderNotification {
  /** Unique per message; the same for every repeat of it. */
  readonly notifyId: string
  readonly tradeId: string
  readonly status: TradeStatus
  /** The provider's own word for the status. */
  readonly rawStatus: string
  readonly amount: number | undefined
  readonly providerTradeNo?: string
  readonly paidAt?: number
  /** True when the message tells of money that went back. */
  readonly refunded: boolean
}

/**
 * A payment provider. Calls throw only when nothing was sent: `access.pool.timeout`, `access.pool.full`, or the
 * signal's reason. Whatever happens after sending is an {@link Outcome}.
 */
export interface PaymentProvider {
  readonly name: string
  /** The signed address to send the buyer to. No network. */
  prepay(order: PrepayOrder): string
  query(tradeId: string, call: ProviderCall): Promise<Outcome<Trade>>
  /** Makes an unpaid trade unpayable. `done` tells where the trade stands afterwards: closed, paid, or absent. */
  close(tradeId: string, call: ProviderCall): Promise<Outcome<Trade>>
  refund(order: RefundOrder, call: ProviderCall): Promise<Outcome<undefined>>
  /**
   * Checks who sent a notification and to whom.
   * @throws CloudError `access.payment.bad-signature`, or `access.payment.mismatch` with the parameter in `field`.
   */
  parseNotification(params: Readonly<Record<string, string>>): ProviderNotification
}
