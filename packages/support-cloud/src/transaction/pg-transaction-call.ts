import { type Clock, CloudError, type Ids, sleep } from '@aaas/core-cloud/kernel'
import { sqlState } from '@aaas/support-cloud/rdbms'
import { bodyHash } from './idempotency.js'
import { type BackendIdentity, isConnectionFailure, type Session, type SessionPool, unavailable } from './pg-session.js'
import type { TransactionGuard, TransactionOptions } from './transaction.js'

/** One call of the service: its key, and how long it may take. */
export interface TransactionCall extends Disposable {
  readonly scope: string
  readonly key: string
  readonly hash: string
  readonly isolation: string
  /** Aborts at the deadline or with the caller; its reason is what the call then throws. */
  readonly signal: AbortSignal
  /** Milliseconds that are left; at least 1. */
  remaining(): number
}

const longestMs = 3_600_000
const isolations = new Set(['read committed', 'repeatable read', 'serializable'])

export function openCall(
  clock: Clock,
  options: TransactionOptions & { readonly key: string; readonly defaultMs: number },
): TransactionCall {
  const { key, scope = 'tx', isolation = 'read committed' } = options
  checkText('key', key, 200)
  checkText('scope', scope, 100)
  if (!isolations.has(isolation)) throw invalid('isolation', 'is none of read committed, repeatable read, serializable')
  const ms = (options.deadline ?? clock.now() + options.defaultMs) - clock.now()
  if (!(ms <= longestMs)) throw invalid('deadline', 'is more than an hour away or no number')
  const end = clock.monotonic() + ms
  const abort = new AbortController()
  const onAbort = (): void => {
    const text = 'the caller gave the transaction up'
    abort.abort(new CloudError('core.contract.cancelled', text, { cause: options.signal?.reason }))
  }
  const onDeadline = (): void => {
    abort.abort(new CloudError('core.contract.deadline-exceeded', 'the transaction did not end before its deadline'))
  }
  const cancel = ms > 0 ? clock.after(Math.ceil(ms), onDeadline) : onDeadline()
  if (options.signal?.aborted === true) onAbort()
  options.signal?.addEventListener('abort', onAbort, { once: true })
  return {
    scope,
    key,
    isolation,
    hash: bodyHash(options.body ?? null),
    signal: abort.signal,
    remaining: () => Math.max(1, Math.ceil(end - clock.monotonic())),
    [Symbol.dispose]() {
      cancel?.()
      options.signal?.removeEventListener('abort', onAbort)
    },
  }
}

function checkText(field: string, value: unknown, most: number): void {
  if (typeof value !== 'string' || value.length < 1 || value.length > most || value.includes('\0')) {
    throw invalid(field, `must be 1 to ${most} characters without NUL`)
  }
}

export function invalid(field: string, why: string): CloudError {
  return new CloudError('core.contract.invalid-input', `${field} ${why}`, { field })
}

/** The database undid this try, certainly; another one may succeed. */
export class Undone extends Error {
  override readonly name = 'Undone'
}

/** COMMIT was sent and its answer did not come. */
export class CommitUnknown extends Error {
  override readonly name = 'CommitUnknown'
}

/** Serialization failure, deadlock: the whole transaction may be run again. */
export function isUndoing(error: unknown): boolean {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    const state = sqlState(at)
    if (state === '40001' || state === '40P01') return true
  }
  return false
}

interface Retries {
  retried: number
  resolved: number
  unknown: number
}

export interface AttemptEnvironment {
  readonly sessions: SessionPool
  readonly clock: Clock
  readonly ids: Pick<Ids, 'random'>
  readonly guard: TransactionGuard | undefined
  readonly counts: Retries
}

/** A try at the call. `claimed` is called as soon as the key's row answered: what came before is then over. */
export type Attempt<T> = (session: Session, attempt: number, claimed: () => void) => Promise<T>

/**
 * Runs tries until one ends for certain or the call's time is up.
 * A lost COMMIT is followed by another try: its claim waits until the lost transaction has ended and sees its row when
 * it committed; when it does not, it certainly did not commit, and the try may do the work again.
 */
export async function untilCertain<T>(env: AttemptEnvironment, call: TransactionCall, attempt: Attempt<T>): Promise<T> {
  let lost: { readonly backend: BackendIdentity; readonly error: unknown } | undefined
  for (let count = 1; ; count++) {
    let session: Session | undefined
    try {
      if (call.signal.aborted) throw call.signal.reason
      session = await outside(env.guard, () => env.sessions.lease(call.remaining()))
      if (lost !== undefined) await endIdle(env.guard, session, lost.backend, call.signal)
      return await attempt(session, count, () => {
        if (lost !== undefined) env.counts.resolved += 1
        lost = undefined
      })
    } catch (error) {
      const again = error instanceof Undone || error instanceof CommitUnknown || isConnectionFailure(error)
      if (error instanceof CommitUnknown && session !== undefined) lost = { backend: session.backend, error }
      if (!again || !(await pause(env, call, count))) throw finalError(env, call, lost, error)
      env.counts.retried += 1
    }
  }
}

/** @returns false when there is no time for another try. */
async function pause(env: AttemptEnvironment, call: TransactionCall, count: number): Promise<boolean> {
  const ms = Math.min(500, 10 * 2 ** Math.min(count, 6)) * (0.5 + env.ids.random())
  if (call.signal.aborted || ms >= call.remaining()) return false
  return sleep(env.clock, ms, call.signal).then(
    () => true,
    () => false,
  )
}

function finalError(env: AttemptEnvironment, call: TransactionCall, lost: unknown, error: unknown): unknown {
  if (lost !== undefined) {
    env.counts.unknown += 1
    return new CloudError(
      'support.transaction.outcome-unknown',
      `COMMIT of ${call.scope}/${call.key} was sent and its answer lost; ask for the outcome by the key`,
      { cause: error, details: { scope: call.scope, key: call.key } },
    )
  }
  if (error instanceof Undone && !isConnectionFailure(error.cause)) {
    return new CloudError('core.contract.deadline-exceeded', 'the database undid every try before the deadline', {
      cause: error.cause,
    })
  }
  const cause = error instanceof Undone ? error.cause : error
  return isConnectionFailure(cause) ? unavailable(cause) : cause
}

async function endIdle(
  guard: TransactionGuard | undefined,
  session: Session,
  lost: BackendIdentity,
  signal: AbortSignal,
): Promise<void> {
  const statement = { text: 'select aaas_tx_end_idle($1, $2::timestamptz)', values: [lost.pid, lost.since] }
  try {
    await orAborted(
      outside(guard, () => session.send(statement)),
      signal,
    )
  } catch (error) {
    session.release(true)
    throw error
  }
}

export function outside<T>(guard: TransactionGuard | undefined, work: () => T): T {
  return guard === undefined ? work() : guard.outside(work)
}

/** The work's outcome, or the signal's reason when that comes first; the work's failure is then nobody's. */
export function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
