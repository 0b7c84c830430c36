import { stockError } from '@aaas/business-cloud/inventory'
import { chart } from '@aaas/business-cloud/ledger'
import { type Clock, CloudError, type Ids } from '@aaas/core-cloud/kernel'
import { type Database, type Queryable, sqlState } from '@aaas/support-cloud/rdbms'
import { ledgerError } from '@aaas/support-cloud/transaction'
import type { OrderState } from './order-contract.js'
import { type OrderGuard, type OrderTransition, orderMachine } from './order-machine.js'

/** A transition that somebody wants. */
export interface OrderMove {
  readonly number: string
  readonly transition: OrderTransition
  /** Epoch milliseconds; default now. */
  readonly at?: number
  /** Of `pay`: what was paid (minor units) and when. */
  readonly amount?: number
  readonly paidAt?: number
  /** Of `ship`. */
  readonly shipment?: { readonly carrier: string; readonly trackingNumber: string }
  readonly actor?: string
  readonly note?: string
}

export type TransitionOutcome =
  | { readonly applied: true; readonly from: OrderState; readonly state: OrderState }
  | { readonly applied: false; readonly reason: 'state' | OrderGuard; readonly state: OrderState }
  | { readonly applied: false; readonly reason: 'unknown' }

/** What a participant learns: the move, its outcome and its time. */
export interface AppliedMove extends OrderMove {
  readonly at: number
  readonly from: OrderState
  readonly to: OrderState
}

/** Writes in the transaction of a transition, after the order's own writes. No I/O beyond the transaction. */
export interface TransitionParticipant {
  readonly transitions: readonly OrderTransition[]
  apply(tx: Queryable, move: AppliedMove): Promise<void>
}

interface Deps {
  readonly database: Database
  readonly clock: Clock
  readonly ids: Ids
  readonly participants: readonly TransitionParticipant[]
  readonly wake?: () => void
}

/** Runs transitions of the machine: one transaction each, in one round trip when nobody else takes part. */
export class OrderTransitions {
  constructor(readonly deps: Deps) {}

  async run(move: OrderMove, tx?: Queryable): Promise<TransitionOutcome> {
    const participants = this.deps.participants.filter(one => one.transitions.includes(move.transition))
    try {
      if (tx !== undefined) return await this.#apply(tx, move, participants)
      const outcome = await (participants.length > 0
        ? this.deps.database.transaction(own => this.#apply(own, move, participants))
        : retryDeadlock(() => this.#apply(this.deps.database, move, [])))
      if (outcome.applied) this.deps.wake?.()
      return outcome
    } catch (error) {
      throw stockError(ledgerError(error))
    }
  }

  async #apply(
    on: Queryable,
    move: OrderMove,
    participants: readonly TransitionParticipant[],
  ): Promise<TransitionOutcome> {
    const at = move.at ?? this.deps.clock.now()
    const request = {
      ...move,
      at,
      eventId: this.deps.ids.uuid(),
      edges: orderMachine.transitions[move.transition],
      accounts: chart,
    }
    const [row] = await on.query<{ outcome: TransitionOutcome }>({
      name: 'order_transition',
      text: 'select order_transition($1) as outcome',
      values: [JSON.stringify(request)],
    })
    if (row === undefined) throw new CloudError('core.kernel.internal', 'order_transition answered nothing')
    if (row.outcome.applied) {
      for (const one of participants)
        await one.apply(on, { ...move, at, from: row.outcome.from, to: row.outcome.state })
    }
    return row.outcome
  }
}

/** Runs one statement again when the database broke a deadlock with it; it had no effect then. */
export async function retryDeadlock<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      const state = sqlState(error)
      if ((state !== '40P01' && state !== '40001') || attempt === 4) throw error
    }
  }
}
