import { CloudError } from '@aaas/core-cloud/kernel'
import { sqlState } from '@aaas/support-cloud/rdbms'
import { isConnectionFailure, type Session, type SessionAnswer, unavailable } from './pg-session.js'
import { CommitUnknown, isUndoing, orAborted, outside, type TransactionCall, Undone } from './pg-transaction-call.js'
import type { PipelinedAnswer, PipelinedStatement, TransactionGuard } from './transaction.js'

export interface PipelineTry {
  readonly call: TransactionCall
  readonly session: Session
  readonly statements: readonly PipelinedStatement[]
  readonly claimed: () => void
  readonly guard: TransactionGuard | undefined
}

/**
 * One try of a pipelined transaction: BEGIN, the claim of the key, the statements and COMMIT are written before the first
 * answer is read. The claim of a known key fails on purpose, and so does everything behind it. An error in the middle
 * makes the server answer COMMIT with ROLLBACK, which resolves like a success does: only the tag tells them apart.
 */
export async function pipelineAttempt(given: PipelineTry): Promise<PipelinedAnswer> {
  let broken = true
  try {
    const answer = await send(given)
    broken = false
    return answer
  } catch (error) {
    broken = error instanceof CommitUnknown || given.call.signal.aborted || isConnectionFailure(error)
    if (!broken) outside(given.guard, () => given.session.send({ text: 'rollback' })).catch(() => undefined)
    throw error
  } finally {
    given.session.release(broken)
  }
}

async function send(given: PipelineTry): Promise<PipelinedAnswer> {
  const { call, session, statements, guard } = given
  const checked = statements.some(one => one.expectRows !== undefined)
  const commit = { text: 'commit' }
  const sent = outside(guard, () => [
    ...[{ text: `begin isolation level ${call.isolation}` }, claimStatement(call), ...statements].map(one =>
      session.send(one),
    ),
    ...(checked ? [] : [session.send(commit)]),
  ])
  const settled = await orAborted(Promise.allSettled(sent), call.signal).catch((error: unknown) => {
    throw checked ? error : new CommitUnknown('no answer to COMMIT', { cause: error })
  })
  if (settled[1]?.status === 'fulfilled' || isKnownKey(settled[1]?.reason)) given.claimed()
  const failed = settled.find(one => one.status === 'rejected')
  if (failed !== undefined) {
    if (isKnownKey(failed.reason)) return replay(given)
    const lost = isConnectionFailure(failed.reason)
    // The failing statement, and not the connection that went away behind it, decides; after it nothing can commit.
    if (lost && !checked) throw new CommitUnknown('the connection was lost in the pipeline', { cause: failed.reason })
    if (isUndoing(failed.reason)) throw new Undone('the database undid the transaction', { cause: failed.reason })
    // The server became a standby under this connection.
    if (settled[1] === failed && sqlState(failed.reason) === '25006') throw unavailable(failed.reason)
    throw failed.reason
  }
  const answers = settled.flatMap(one => (one.status === 'fulfilled' ? [one.value] : []))
  const last = checked ? await commitChecked(given, answers) : answers.at(-1)
  if (last?.tag !== 'COMMIT') {
    throw new CloudError('support.transaction.rolled-back', `COMMIT was answered with ${last?.tag ?? 'nothing'}`)
  }
  return { rows: answers.slice(2, 2 + statements.length).map(one => one.rows), replayed: false }
}

async function commitChecked(given: PipelineTry, answers: readonly SessionAnswer[]): Promise<SessionAnswer> {
  const { call, session, statements, guard } = given
  for (const [index, { expectRows }] of statements.entries()) {
    const got = answers[index + 2]?.count
    if (expectRows === undefined || got === expectRows) continue
    throw new CloudError(
      'support.transaction.rolled-back',
      `statement ${index} touched ${got} rows, not ${expectRows}`,
      {
        field: `statements/${index}`,
        details: { expected: expectRows, got },
      },
    )
  }
  const committing = outside(guard, () => session.send({ text: 'commit' }))
  return orAborted(committing, call.signal).catch((error: unknown) => {
    if (isUndoing(error)) throw new Undone('the database undid the transaction', { cause: error })
    if (call.signal.aborted || isConnectionFailure(error)) {
      throw new CommitUnknown('the connection was lost at COMMIT', { cause: error })
    }
    throw error
  })
}

/** The key was there: its body decides between an answer and a conflict. */
async function replay({ call, session, guard }: PipelineTry): Promise<PipelinedAnswer> {
  const [, read] = await orAborted(
    Promise.all(
      outside(guard, () => [
        session.send({ text: 'rollback' }),
        session.send({
          name: 'aaas_tx_hash',
          text: 'select body_hash as hash from idempotency where scope = $1 and key = $2',
          values: [call.scope, call.key],
        }),
      ]),
    ),
    call.signal,
  )
  const hash = read?.rows[0]?.hash
  if (hash === undefined) throw new Undone('the key was forgotten meanwhile')
  if (hash === call.hash) return { replayed: true }
  throw new CloudError('support.transaction.conflict', `the key ${call.key} was used with another body`)
}

function claimStatement(call: TransactionCall) {
  return {
    name: 'aaas_tx_claim_or_fail',
    text: 'select fresh from aaas_tx_claim($1, $2, $3, $4, true)',
    values: [call.scope, call.key, call.hash, call.remaining()],
  }
}

function isKnownKey(error: unknown): boolean {
  return sqlState(error) === 'TX001'
}
