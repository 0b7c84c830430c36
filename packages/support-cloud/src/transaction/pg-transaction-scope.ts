import { CloudError, type Ids } from '@aaas/core-cloud/kernel'
import { emitEvent } from '@aaas/support-cloud/event'
import type { Statement } from '../rdbms/database.js'
import type { Ledger } from './ledger.js'
import { isConnectionFailure, type Session, type SessionAnswer, unavailable } from './pg-session.js'
import { outside, type TransactionCall } from './pg-transaction-call.js'
import type { TransactionEvent, TransactionGuard, TransactionLedger, TransactionScope } from './transaction.js'

export interface ScopeOptions {
  readonly session: Session
  readonly call: TransactionCall
  readonly attempt: number
  readonly ids: Pick<Ids, 'uuid'>
  readonly guard: TransactionGuard | undefined
  readonly ledger: Ledger | undefined
}

/** The inside of one try. Remembers the first failure, which decides whether the transaction may be run again. */
export class PgTransactionScope implements TransactionScope {
  readonly key: string
  readonly attempt: number
  readonly signal: AbortSignal
  readonly ledger: TransactionLedger
  /** First statement that failed and was not undone by a savepoint. */
  failure: unknown
  emitted = 0
  readonly #options: ScopeOptions
  #open = true
  #savepoints = 0
  #inSavepoint = false

  constructor(options: ScopeOptions) {
    this.#options = options
    this.key = options.call.key
    this.attempt = options.attempt
    this.signal = options.call.signal
    this.ledger = this.#ledger(options.ledger)
  }

  async query<Row extends object = Record<string, unknown>>(statement: Statement): Promise<readonly Row[]> {
    if (!this.#open) throw new Error('the transaction has ended')
    try {
      return (await this.#send(statement)).rows as readonly Row[]
    } catch (error) {
      this.failure ??= error
      throw isConnectionFailure(error) ? unavailable(error) : error
    }
  }

  async emit(event: TransactionEvent): Promise<void> {
    const eventId = event.eventId ?? this.#options.ids.uuid()
    await emitEvent(this, { eventId, topic: event.topic, key: event.key ?? '', payload: event.payload })
    this.emitted += 1
  }

  async savepoint<T>(work: () => Promise<T>): Promise<T> {
    if (this.#inSavepoint) throw new Error('a savepoint is open already: await one before the next')
    this.#inSavepoint = true
    this.#savepoints += 1
    const name = `part_${this.#savepoints}`
    const before = { failure: this.failure, emitted: this.emitted }
    try {
      await this.query({ text: `savepoint ${name}` })
      const result = await work()
      await this.query({ text: `release savepoint ${name}` })
      return result
    } catch (error) {
      await this.query({ text: `rollback to savepoint ${name}` })
      this.failure = before.failure
      this.emitted = before.emitted
      throw error
    } finally {
      this.#inSavepoint = false
    }
  }

  /** From now on nothing more is sent. */
  close(): void {
    this.#open = false
  }

  #send(statement: Statement): Promise<SessionAnswer> {
    return outside(this.#options.guard, () => this.#options.session.send(statement))
  }

  #ledger(ledger: Ledger | undefined): TransactionLedger {
    const given = (): Ledger => {
      if (ledger !== undefined) return ledger
      throw new CloudError('core.kernel.invalid-config', 'the transactions were made without a ledger', {
        field: 'ledger',
      })
    }
    return {
      apply: async transfers => given().apply(transfers, this),
      lookup: async ids => given().lookup(ids, this),
      balances: async accounts => given().balances(accounts, this),
    }
  }
}
