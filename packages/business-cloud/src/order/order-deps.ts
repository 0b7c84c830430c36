import type { HookHost } from '@aaas/core-cloud/cloudware'
import type { Client } from '@aaas/core-cloud/contract'
import type { Clock, Ids } from '@aaas/core-cloud/kernel'
import type { Database } from '@aaas/support-cloud/rdbms'
import type { Localized } from '../catalogue/catalogue-contract.js'
import type { pricingContract } from '../pricing/pricing-contract.js'
import type { TransitionParticipant } from './order-transitions.js'

/** What an order keeps of a SKU, so that it reads the same after the catalogue changed. */
export interface OrderSku {
  readonly name: Localized
  readonly image: string
  readonly slug: string
}

export interface OrderConfig {
  /** Milliseconds a buyer has to pay; default 30 minutes. */
  readonly unpaidMs?: number
  /** The platform's share of every sale in basis points, rounded down; default 60 (0.6 %). */
  readonly platformFeeBasisPoints?: number
  /** Zone of the date in order numbers; default `Asia/Shanghai`. */
  readonly timeZone?: string
  /** Name of the one supplier; default `merchant`. */
  readonly supplier?: string
}

export interface OrderDeps {
  readonly database: Database
  readonly pricing: Pick<Client<typeof pricingContract>, 'quote'>
  /** What is kept of the SKUs of an order; unknown ones are absent. Cached by the catalogue. */
  readonly skus: { loadSkus(skus: readonly string[]): Promise<ReadonlyMap<string, OrderSku>> }
  readonly hooks: Pick<HookHost, 'has' | 'validate'>
  readonly clock: Clock
  readonly ids: Ids
  /** Take part in transitions, such as `paymentParticipant` of the payment centre. */
  readonly participants: readonly TransitionParticipant[]
  /** Groups of a buyer, such as `vip`; absent: none. */
  readonly groupsOf?: (partyId: string) => Promise<readonly string[]>
  /** Called after every commit that wrote an event; wakes the relay of the outbox. Must not throw. */
  readonly wake?: () => void
  readonly config?: OrderConfig
}
