import { type Clock, CloudError, type Ids, type Logger } from '@aaas/core-cloud/kernel'
import type { Database, Queryable } from '@aaas/support-cloud/rdbms'
import { appendAudit } from './payment-audit.js'
import { applyTrade } from './payment-changes.js'
import { lockPayment } from './payment-records.js'
import type { PaymentProvider, ProviderNotification } from './provider.js'

export type Disposition = 'applied' | 'repeated' | 'ignored' | 'refused'

export interface NotificationInboxDeps {
  readonly database: Database
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  readonly committed: () => void
}

interface Verdict {
  readonly disposition: Disposition
  readonly reason?: string
}

/** Forged messages written to the inbox per second: anybody can post, and the log must not become their disk. */
const forgedPerSecond = 1
const keptForged = 1_000

/**
 * Takes notifications of providers. A message counts once: by its id, and by the state machine when the same news
 * comes under another id. Whatever is accepted is committed before the answer.
 */
export class NotificationInbox {
  readonly #deps: NotificationInboxDeps
  #forgedWindow = 0
  #forgedInWindow = 0

  constructor(deps: NotificationInboxDeps) {
    this.#deps = deps
  }

  /** @returns `refused` when the provider must not be told "success": the message is not genuine or does not fit. */
  async receive(provider: PaymentProvider, params: Readonly<Record<string, string>>): Promise<Disposition> {
    let message: ProviderNotification
    try {
      message = provider.parseNotification(params)
    } catch (error) {
      if (!CloudError.is(error)) throw error
      await this.#refuse(provider.name, params, error)
      return 'refused'
    }
    const { database, logger, committed } = this.#deps
    const verdict = await database.transaction(tx => this.#take(tx, { provider: provider.name, message, params }))
    const { notifyId, tradeId, rawStatus } = message
    logger.info('payment notification', {
      provider: provider.name,
      notifyId,
      trade: tradeId,
      status: rawStatus,
      ...verdict,
    })
    if (verdict.disposition === 'applied') committed()
    return verdict.disposition
  }

  async #take(
    tx: Queryable,
    input: {
      readonly provider: string
      readonly message: ProviderNotification
      readonly params: Readonly<Record<string, string>>
    },
  ): Promise<Verdict> {
    const { message, provider } = input
    // The payment's lock orders everything that concerns it, so that two copies cannot both find themselves new.
    const row = await lockPayment(tx, message.tradeId)
    if (row === undefined || row.provider !== provider) {
      return this.#record(tx, input, { disposition: 'refused', reason: 'unknown-order' })
    }
    if (message.amount !== row.amount) {
      const data = {
        cause: 'notification',
        notifyId: message.notifyId,
        expected: row.amount,
        got: message.amount ?? null,
      }
      const verdict = await this.#record(tx, input, { disposition: 'refused', reason: 'total_amount' })
      const at = this.#deps.clock.now()
      await appendAudit(tx, { tenant: row.tenant, payment: row.id, at, act: 'payment.mismatch', data })
      return verdict
    }
    const seen = await this.#seen(tx, input)
    if (seen === 'message') return { disposition: 'repeated', reason: 'notify_id' }
    if (seen === 'news') return this.#record(tx, input, { disposition: 'repeated', reason: 'status' })
    // A trade that was refunded in full is "closed" at Alipay: that is not the news that it was never paid.
    if (message.refunded && message.status === 'closed') {
      return this.#record(tx, input, { disposition: 'ignored', reason: 'refund' })
    }
    const trade = { ...message, amount: message.amount }
    const change = await applyTrade(tx, this.#deps, { row, trade, cause: 'notification' })
    if (change?.changed) return this.#record(tx, input, { disposition: 'applied' })
    return this.#record(tx, input, { disposition: 'ignored', reason: `in state ${row.state}` })
  }

  async #seen(
    tx: Queryable,
    { provider, message }: { readonly provider: string; readonly message: ProviderNotification },
  ): Promise<'message' | 'news' | undefined> {
    const rows = await tx.query<{ notify_id: string }>({
      name: 'notification-seen',
      text: `select notify_id from provider_notification where provider = $1 and disposition <> 'refused'
        and (notify_id = $2 or (trade = $3 and status = $4 and disposition = 'applied')) limit 2`,
      values: [provider, message.notifyId, message.tradeId, message.rawStatus],
    })
    if (rows.some(row => row.notify_id === message.notifyId)) return 'message'
    return rows.length > 0 ? 'news' : undefined
  }

  async #record(
    tx: Queryable,
    input: {
      readonly provider: string
      readonly message: ProviderNotification
      readonly params: Readonly<Record<string, string>>
    },
    verdict: Verdict,
  ): Promise<Verdict> {
    const { provider, message, params } = input
    const { sign: _, ...body } = params
    await tx.query({
      name: 'notification-insert',
      text: `insert into provider_notification
          (provider, notify_id, trade, status, received_at, disposition, reason, body)
        values ($1, $2, $3, $4, $5, $6, $7, $8)`,
      values: [
        provider,
        message.notifyId,
        message.tradeId,
        message.rawStatus,
        this.#deps.clock.now(),
        verdict.disposition,
        verdict.reason ?? null,
        JSON.stringify(body),
      ],
    })
    return verdict
  }

  /** Nothing in the message can be trusted: it is noted, shortened and without its body. */
  async #refuse(provider: string, params: Readonly<Record<string, string>>, error: CloudError): Promise<void> {
    const { database, clock, logger } = this.#deps
    const now = clock.now()
    if (now - this.#forgedWindow >= 1_000) {
      this.#forgedWindow = now
      this.#forgedInWindow = 0
    }
    this.#forgedInWindow += 1
    if (this.#forgedInWindow > forgedPerSecond) return
    const short = (value: string | undefined): string => (value ?? '').replaceAll('\0', '').slice(0, 128)
    const reason = error.field ?? error.code
    logger.warn('payment notification refused', { provider, reason, trade: short(params.out_trade_no) })
    await database.query({
      text: `insert into provider_notification (provider, notify_id, trade, status, received_at, disposition, reason)
        values ($1, $2, $3, $4, $5, 'refused', $6)`,
      values: [provider, short(params.notify_id), short(params.out_trade_no), short(params.trade_status), now, reason],
    })
    await database.query({
      text: `delete from provider_notification where disposition = 'refused' and body is null and id <= (
        select id from provider_notification where disposition = 'refused' and body is null
        order by id desc offset ${keptForged} limit 1)`,
    })
  }
}
