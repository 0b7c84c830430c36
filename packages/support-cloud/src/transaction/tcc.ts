import { CloudError } from '@aaas/core-cloud/kernel'
import type { Queryable } from '../rdbms/database.js'
import type { SagaAction, SagaDefinition, SagaRetry, SagaStepContext } from './saga.js'
import { checkName, storable } from './saga-record.js'

export type BranchOp = 'try' | 'confirm' | 'cancel'

/** One message to a participant. */
export interface BranchMessage {
  /** The whole transaction's id, 1 to 200 characters. */
  readonly gid: string
  /** Which part of it, 1 to 100 characters. */
  readonly branch: string
  readonly op: BranchOp
}

export interface BarrierAnswer<T> {
  readonly outcome: /** The work ran now. */
    | 'ran'
    /** It ran before; a repeated `try` gets the first one's answer. */
    | 'repeated'
    /** A cancel of something that was never tried: nothing to do, and a late try will be refused. */
    | 'empty'
  readonly answer?: T
}

/**
 * Lets a participant do each message of a branch at most once and in an order that makes sense, whatever is repeated,
 * lost or overtaken on the way: one row per branch, changed in the transaction of the work itself.
 *
 * - A cancel before its try (null cancel) does nothing and shuts the door: the try that comes later (hanging try) is
 *   refused, so that nothing stays reserved for ever.
 * - A confirm or cancel that is repeated does nothing; confirm after cancel and cancel after confirm are refused.
 * - A confirm before its try is refused as retryable: the coordinator never sends it, a network may.
 *
 * The three rules are those that the dtm project describes for TCC; it keeps a row per operation, here it is a state.
 * @param tx - the participant's transaction; it must roll back when this throws.
 * @param work - answers JSON, at most 64 KiB.
 * @throws CloudError `support.transaction.branch-refused`, `core.contract.invalid-input`, `.too-large`.
 */
export async function barrier<T>(
  tx: Queryable,
  message: BranchMessage,
  work: () => Promise<T>,
): Promise<BarrierAnswer<T>> {
  const { gid, branch, op } = message
  checkName('gid', gid, 200)
  checkName('branch', branch, 100)
  if (op !== 'try' && op !== 'confirm' && op !== 'cancel') {
    throw new CloudError('core.contract.invalid-input', 'op must be try, confirm or cancel', { field: 'op' })
  }
  const [row] = await tx.query<{ verdict: string; answer: T | null }>({
    name: 'aaas_barrier_enter',
    text: 'select verdict, answer from aaas_barrier_enter($1, $2, $3)',
    values: [gid, branch, op],
  })
  switch (row?.verdict) {
    case 'run': {
      const answer = await work()
      if (op === 'try' && answer !== undefined) {
        const text = JSON.stringify(storable('answer', answer, 65_536))
        await tx.query({
          name: 'aaas_barrier_answer',
          text: 'update aaas_barrier set answer = $3 where gid = $1 and branch = $2',
          values: [gid, branch, text],
        })
      }
      return { outcome: 'ran', answer }
    }
    case 'repeated':
      return { outcome: 'repeated', ...(op === 'try' && row.answer !== null ? { answer: row.answer } : {}) }
    case 'empty':
      return { outcome: 'empty' }
    default: {
      const early = row?.verdict === 'early'
      const why = early ? 'its try has not come yet' : `the branch is ${row?.verdict}`
      throw new CloudError('support.transaction.branch-refused', `${op} of ${gid}/${branch}: ${why}`, {
        retryable: early,
        details: { gid, branch, op },
      })
    }
  }
}

/** Forgets branches that were settled before a time, at most `limit` (default 1000). @returns how many. */
export async function forgetBranches(
  on: Queryable,
  options: { readonly before: number; readonly limit?: number },
): Promise<number> {
  const rows = await on.query({
    text: `delete from aaas_barrier where (gid, branch) in (select gid, branch from aaas_barrier
      where changed_at < to_timestamp($1 / 1000.0) and state <> 'tried' order by changed_at limit $2
      for update skip locked) returning 1 as one`,
    values: [options.before, options.limit ?? 1000],
  })
  return rows.length
}

/** What a branch's calls get. `key` is the same for repeats of a message. */
export interface TccContext extends Pick<SagaStepContext, 'key' | 'input' | 'signal' | 'attempt'> {
  readonly gid: string
  readonly branch: string
  /** Answers of the tries so far, by branch. */
  readonly answers: Readonly<Record<string, unknown>>
}

/** A participant as the coordinator sees it; each call sends a message that its barrier receives. */
export interface TccBranch {
  /** 1 to 90 characters, unique. */
  readonly name: string
  /** Reserves. A definite refusal (see `SagaAction`) cancels the whole. */
  try(context: TccContext): Promise<unknown>
  /** Takes what was reserved. */
  confirm(context: TccContext): Promise<unknown>
  /** Gives back what was or may have been reserved. */
  cancel(context: TccContext): Promise<unknown>
  /** Milliseconds of one call, default 30_000. */
  readonly timeoutMs?: number
  /** Of the try; default 3 tries. */
  readonly tryRetry?: SagaRetry
  /** Of confirm and cancel; default 20 tries, then the saga is parked. */
  readonly endRetry?: SagaRetry
}

/**
 * A coordinator as a saga: all tries one after the other, then all confirms; when a try fails, all cancels of what was or
 * may have been tried. The first confirm is the point of no return: from its record on the saga only goes forward.
 * Start it by `sagas.start({ id: gid, name, input })` after `sagas.define`.
 * @param options.branches - 1 to 25.
 */
export function tccDefinition(options: {
  readonly name: string
  readonly version: number
  readonly branches: readonly TccBranch[]
  /** Milliseconds until what is not confirmed by then is cancelled, default 60_000. */
  readonly timeoutMs?: number
}): SagaDefinition {
  const { name, version, branches, timeoutMs = 60_000 } = options
  if (branches.length < 1 || branches.length > 25) {
    throw new CloudError('core.contract.invalid-input', 'branches must be 1 to 25', { field: 'branches' })
  }
  for (const [index, branch] of branches.entries()) checkName(`branches/${index}/name`, branch.name, 90)
  return { name, version, timeoutMs, steps: [...branches.map(trying), ...branches.map(confirming)] }
}

const endRetry: SagaRetry = { attempts: 20 }

function trying(branch: TccBranch): SagaAction {
  return {
    name: `try ${branch.name}`,
    run: context => branch.try(branchContext(branch, context)),
    compensate: context => branch.cancel(branchContext(branch, context)),
    retry: { attempts: 3, ...branch.tryRetry },
    compensateRetry: { ...endRetry, ...branch.endRetry },
    ...(branch.timeoutMs === undefined ? {} : { timeoutMs: branch.timeoutMs }),
  }
}

function confirming(branch: TccBranch): SagaAction {
  return {
    name: `confirm ${branch.name}`,
    run: context => branch.confirm(branchContext(branch, context)),
    onFailure: 'park',
    retry: { ...endRetry, ...branch.endRetry },
    ...(branch.timeoutMs === undefined ? {} : { timeoutMs: branch.timeoutMs }),
  }
}

function branchContext(branch: TccBranch, context: SagaStepContext): TccContext {
  const { key, input, signal, attempt } = context
  const tried = Object.entries(context.outputs).filter(([step]) => step.startsWith('try '))
  const answers = Object.fromEntries(tried.map(([step, answer]) => [step.slice(4), answer]))
  return { gid: context.sagaId, branch: branch.name, key, input, signal, attempt, answers }
}
