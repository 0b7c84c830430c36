import { type Clock, CloudError, type Ids } from '@aaas/core-cloud/kernel'
import { type ConnectionBudget, sqlState } from '@aaas/support-cloud/rdbms'
import type { Ledger } from './ledger.js'
import { pipelineAttempt } from './pg-pipeline.js'
import { isConnectionFailure, pgSessions, type Session, type SessionAnswer, unavailable } from './pg-session.js'
import {
  type AttemptEnvironment,
  CommitUnknown,
  invalid,
  isUndoing,
  openCall,
  orAborted,
  outside,
  type TransactionCall,
  Undone,
  untilCertain,
} from './pg-transaction-call.js'
import { PgTransactionScope } from './pg-transaction-scope.js'
import type {
  PipelinedAnswer,
  PipelinedStatement,
  TransactionAnswer,
  TransactionGuard,
  TransactionOptions,
  TransactionOutcome,
  TransactionScope,
  TransactionStats,
  Transactions,
} from './transaction.js'

export interface PgTransactionsOptions {
  /** As for `pgDatabase`. The database needs `transactionMigrations`. */
  readonly url: string
  readonly clock: Clock
  readonly ids: Pick<Ids, 'uuid' | 'random'>
  readonly ledger?: Ledger
  /** Connections of its own, at most; default 8. One transaction uses one. */
  readonly maxConnections?: number
  /** Connections that this and other databases may have together; default none but their own limits. */
  readonly budget?: ConnectionBudget
  /** Milliseconds of a call without a deadline, default 10_000. */
  readonly defaultMs?: number
  /** Bytes of a stored result as JSON, default 65_536. */
  readonly maxResultBytes?: number
  /** For development: refuses network calls and nested transactions. See `systemNetworkGuard`. */
  readonly guard?: TransactionGuard
  /** Called after a commit that wrote events; give the relay's `wake`. */
  readonly onEvents?: () => void
}

/** Keyed transactions on PostgreSQL. Opens nothing until the first call. */
export function pgTransactions(options: PgTransactionsOptions): Transactions {
  return new PgTransactions(options)
}

class PgTransactions implements Transactions {
  readonly #options: PgTransactionsOptions
  readonly #env: AttemptEnvironment
  readonly #counts = { committed: 0, replayed: 0, retried: 0, resolved: 0, unknown: 0 }

  constructor(options: PgTransactionsOptions) {
    const { url, clock, ids, guard, maxConnections = 8 } = options
    this.#options = options
    const budget = options.budget === undefined ? {} : { budget: options.budget }
    const sessions = pgSessions({ url, clock, maxConnections, ...budget })
    this.#env = { sessions, clock, ids, guard, counts: this.#counts }
  }

  async run<T>(
    key: string,
    fn: (tx: TransactionScope) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<TransactionAnswer<T>> {
    const guarded = this.#options.guard?.begin(key)
    using call = this.#open(key, options)
    const inside = (tx: TransactionScope): Promise<T> => {
      const work = async (): Promise<T> => fn(tx)
      return guarded === undefined ? work() : guarded.inside(work)
    }
    const answer = await untilCertain(this.#env, call, (session, attempt, claimed) =>
      this.#attempt(call, session, attempt, claimed, inside),
    )
    this.#count(answer.replayed)
    return answer
  }

  async pipeline(
    key: string,
    statements: readonly PipelinedStatement[],
    options: TransactionOptions = {},
  ): Promise<PipelinedAnswer> {
    this.#options.guard?.begin(key)
    if (statements.length < 1 || statements.length > 100) throw invalid('statements', 'must be 1 to 100')
    using call = this.#open(key, options)
    const answer = await untilCertain(this.#env, call, (session, _attempt, claimed) =>
      pipelineAttempt({ call, session, statements, claimed, guard: this.#options.guard }),
    )
    this.#count(answer.replayed)
    return answer
  }

  async outcome(
    key: string,
    options: Pick<TransactionOptions, 'scope' | 'deadline' | 'signal'> = {},
  ): Promise<TransactionOutcome> {
    this.#options.guard?.begin(key)
    using call = this.#open(key, options)
    return untilCertain(this.#env, call, session => this.#ask(call, session))
  }

  stats(): TransactionStats {
    return { ...this.#counts }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.#env.sessions[Symbol.asyncDispose]())
  }

  #open(key: string, options: TransactionOptions): TransactionCall {
    return openCall(this.#options.clock, { ...options, key, defaultMs: this.#options.defaultMs ?? 10_000 })
  }

  #count(replayed: boolean): void {
    if (replayed) this.#counts.replayed += 1
    else this.#counts.committed += 1
  }

  async #attempt<T>(
    call: TransactionCall,
    session: Session,
    attempt: number,
    claimed: () => void,
    fn: (tx: TransactionScope) => Promise<T>,
  ): Promise<TransactionAnswer<T>> {
    const { guard, ids, ledger } = this.#options
    const scope = new PgTransactionScope({ session, call, attempt, ids, guard, ledger })
    let open = true
    let broken = false
    try {
      const known = await claim(call, session, guard)
      claimed()
      if (known !== undefined) {
        if (known.same) return { result: parsed<T>(known.response), replayed: true }
        throw new CloudError('support.transaction.conflict', `the key ${call.key} was used with another body`)
      }
      const text = await this.#work(call, scope, fn)
      open = false
      await commit(call, session, { guard, text, failure: () => scope.failure })
      if (scope.emitted > 0) this.#options.onEvents?.()
      return { result: parsed<T>(text), replayed: false }
    } catch (error) {
      // What the database answered leaves the connection in order; only silence and breaks do not.
      const silent = error instanceof CommitUnknown || call.signal.aborted
      broken = silent || isConnectionFailure(error) || isConnectionFailure(scope.failure)
      // A function may have dressed up the failure of its statement, or swallowed it and failed otherwise.
      if (!open || silent || !(isUndoing(scope.failure) || isConnectionFailure(scope.failure))) throw error
      throw new Undone('the database undid the transaction', { cause: error })
    } finally {
      scope.close()
      // Without a wait: what comes next on this connection comes after it. A broken one is closed, which undoes as well.
      if (open && !broken) undo(session, guard)
      session.release(broken)
    }
  }

  async #work<T>(
    call: TransactionCall,
    scope: PgTransactionScope,
    fn: (tx: TransactionScope) => Promise<T>,
  ): Promise<string | undefined> {
    const result = await orAborted(fn(scope), call.signal)
    scope.close()
    return this.#stored(result)
  }

  #stored(result: unknown): string | undefined {
    let text: string | undefined
    try {
      text = JSON.stringify(result)
    } catch (error) {
      throw new CloudError('core.contract.invalid-input', `the result is not JSON: ${String(error)}`, {
        field: 'result',
        cause: error,
      })
    }
    const most = this.#options.maxResultBytes ?? 65_536
    if (text !== undefined && Buffer.byteLength(text) > most) {
      throw new CloudError('support.transaction.too-large', `the result is larger than ${most} bytes`, {
        field: 'result',
      })
    }
    return text
  }

  /** Takes the key and gives it back: whoever holds it is waited for. */
  async #ask(call: TransactionCall, session: Session): Promise<TransactionOutcome> {
    let broken = true
    const { guard } = this.#options
    try {
      const known = await claim(call, session, guard)
      const read = await orAborted(
        outside(guard, () => session.send(keyStatement(call))),
        call.signal,
      )
      undo(session, guard)
      broken = false
      const at = Number(read.rows[0]?.at ?? 0)
      return known === undefined ? { state: 'absent' } : { state: 'committed', result: parsed(known.response), at }
    } catch (error) {
      if (CloudError.is(error, 'core.contract.deadline-exceeded')) return { state: 'running' }
      throw error
    } finally {
      session.release(broken)
    }
  }
}

function keyStatement(call: TransactionCall) {
  const text = `select (extract(epoch from created_at) * 1000)::bigint as at from idempotency where scope = $1 and key = $2`
  return { name: 'aaas_tx_key', text, values: [call.scope, call.key] }
}

interface KnownKey {
  readonly same: boolean
  readonly response: string | null
}

/** BEGIN and the claim in one go. @returns the key's row when there was one. */
async function claim(
  call: TransactionCall,
  session: Session,
  guard: TransactionGuard | undefined,
): Promise<KnownKey | undefined> {
  const answers = outside(guard, () => [
    session.send({ text: `begin isolation level ${call.isolation}` }),
    session.send({
      name: 'aaas_tx_claim',
      text: 'select fresh, same, response from aaas_tx_claim($1, $2, $3, $4, false)',
      values: [call.scope, call.key, call.hash, call.remaining()],
    }),
  ])
  const [, claimed] = await firstFailure(answers, call.signal).catch((error: unknown) => {
    if (isUndoing(error)) throw new Undone('the claim was undone', { cause: error })
    // The server became a standby under this connection: another host is the primary.
    if (sqlState(error) === '25006') throw unavailable(error)
    if (sqlState(error) !== '55P03') throw error
    const text = `another transaction with the key ${call.key} is under way`
    throw new CloudError('core.contract.deadline-exceeded', text, { cause: error })
  })
  const row = claimed?.rows[0] as ({ readonly fresh: boolean } & KnownKey) | undefined
  return row?.fresh === false ? row : undefined
}

/** Stores the answer and commits in one go, and believes nothing but the command tag COMMIT. */
async function commit(
  call: TransactionCall,
  session: Session,
  options: {
    readonly guard: TransactionGuard | undefined
    /** The result as JSON. */
    readonly text: string | undefined
    /** What failed before without ending the transaction's function. */
    readonly failure: () => unknown
  },
): Promise<void> {
  const sent = outside(options.guard, () => [
    session.send({
      name: 'aaas_tx_answer',
      text: 'update idempotency set response = $3 where scope = $1 and key = $2',
      values: [call.scope, call.key, options.text ?? null],
    }),
    session.send({ text: 'commit' }),
  ])
  const [stored, committed] = await orAborted(Promise.allSettled(sent), call.signal).catch((error: unknown) => {
    throw new CommitUnknown('no answer to COMMIT', { cause: error })
  })
  if (committed?.status === 'fulfilled' && committed.value.tag === 'COMMIT') return
  const answer: unknown = committed?.status === 'rejected' ? committed.reason : undefined
  if (isConnectionFailure(answer)) throw new CommitUnknown('the connection was lost at COMMIT', { cause: answer })
  const refused: unknown = stored?.status === 'rejected' ? stored.reason : undefined
  const cause = options.failure() ?? refused ?? answer
  if (isUndoing(cause)) throw new Undone('the database undid the transaction', { cause })
  const state = sqlState(refused)
  if (options.failure() === undefined && state?.startsWith('22')) {
    throw new CloudError('core.contract.invalid-input', 'the result has characters that cannot be stored', {
      field: 'result',
      cause: refused,
    })
  }
  if (answer !== undefined) throw answer
  throw new CloudError('support.transaction.rolled-back', 'COMMIT was answered with ROLLBACK', { cause })
}

/** All answers, or the first failure in the order of sending. */
async function firstFailure(
  answers: readonly Promise<SessionAnswer>[],
  signal: AbortSignal,
): Promise<readonly SessionAnswer[]> {
  const settled = await orAborted(Promise.allSettled(answers), signal)
  return settled.map(one => {
    if (one.status === 'rejected') throw one.reason
    return one.value
  })
}

/** Rolls back without waiting: the connection answers in order. */
function undo(session: Session, guard: TransactionGuard | undefined): void {
  outside(guard, () => session.send({ text: 'rollback' })).catch(() => undefined)
}

function parsed<T>(text: string | null | undefined): T {
  return (typeof text === 'string' ? JSON.parse(text) : undefined) as T
}
