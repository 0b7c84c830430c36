import { CloudError } from '@aaas/core-cloud/kernel'
import type { Database, Queryable } from '../rdbms/database.js'
import type { SagaForce, SagaOperator, SagaState, SagaStepState } from './saga.js'
import { checkName, errorText, storable } from './saga-record.js'

interface Held {
  readonly state: SagaState
  readonly from: SagaState | null
  readonly code: string | null
}

export interface OperatorEnvironment {
  readonly database: Database
  readonly maxPayloadBytes: number
  /** Epoch milliseconds of the injected clock, or null for the server's. */
  readonly now: () => number | null
}

/** Asks for compensation: at once for a saga that nobody holds, at its next record for one that is under way. */
export function cancelSaga(env: OperatorEnvironment, id: string, operator: SagaOperator): Promise<void> {
  return byHand(env, id, operator, { act: 'cancel' }, async (tx, saga) => {
    if (saga.state !== 'running') throw wrongState(id, saga, 'only a running saga can be cancelled')
    await tx.query({
      text: `update aaas_saga set cancel_reason = $2,
        due_at = case when owner is null then least(due_at, aaas_at($3)) else due_at end where id = $1`,
      values: [id, errorText(operator.reason), env.now()],
    })
  })
}

export function retrySaga(env: OperatorEnvironment, id: string, operator: SagaOperator): Promise<void> {
  return byHand(env, id, operator, { act: 'retry' }, async (tx, saga) => {
    if (saga.state !== 'parked') throw wrongState(id, saga, 'only a parked saga can be retried')
    // What it stuck at gets its tries again; a refused point of no return is asked once more.
    await tx.query({
      text: `update aaas_saga_step set attempts = 0, resolves = 0, compensations = 0,
          state = case when state = 'refused' and $2 = 'running' then 'intended'
            when state = 'unknown' and $3 <> 'outcome-unknown' then 'intended' else state end
        where saga_id = $1 and state in ('intended', 'unknown', 'refused', 'compensating')`,
      values: [id, saga.from, saga.code],
    })
    await resume(env, tx, id)
  })
}

export async function forceSaga(
  env: OperatorEnvironment,
  id: string,
  force: SagaForce,
  operator: SagaOperator,
): Promise<void> {
  const output = force.act === 'complete-step' ? storable('output', force.output, env.maxPayloadBytes) : null
  await byHand(env, id, operator, force, async (tx, saga) => {
    if (saga.state !== 'parked') throw wrongState(id, saga, 'only a parked saga can be decided for')
    if (force.act === 'compensate') {
      if (saga.from !== 'running') throw wrongState(id, saga, 'it is being compensated already')
      await resume(env, tx, id)
      const text = `update aaas_saga set state = 'compensating', failure = $2 where id = $1`
      await tx.query({ text, values: [id, errorText(operator.reason)] })
      return
    }
    const { to, among, phase } = forced[force.act]
    if (saga.from !== phase) throw wrongState(id, saga, `${force.act} is for a saga that was ${phase}`)
    const changed = await tx.query({
      text: `update aaas_saga_step set state = $3, was_done = was_done or $3 = 'done',
          output = case when $3 = 'done' then $5::jsonb else output end
        where saga_id = $1 and name = $2 and state = any ($4) returning step`,
      values: [id, force.step, to, among, JSON.stringify(output)],
    })
    if (changed.length === 0) {
      const text = `step ${force.step} of ${id} is not one that this can be said of`
      throw new CloudError('support.transaction.wrong-state', text, { field: 'step' })
    }
    await resume(env, tx, id)
  })
}

const forced: Readonly<
  Record<
    Exclude<SagaForce['act'], 'compensate'>,
    { readonly to: SagaStepState; readonly among: readonly SagaStepState[]; readonly phase: SagaState }
  >
> = {
  'complete-step': { to: 'done', among: ['intended', 'unknown', 'refused'], phase: 'running' },
  'fail-step': { to: 'refused', among: ['intended', 'unknown', 'refused'], phase: 'running' },
  'skip-compensation': { to: 'compensated', among: ['compensating'], phase: 'compensating' },
}

async function resume(env: OperatorEnvironment, tx: Queryable, id: string): Promise<void> {
  await tx.query({
    text: `update aaas_saga set state = parked_from, parked_from = null, parked_code = null, parked_reason = null,
      idle_claims = 0, owner = null, due_at = aaas_at($2), changed_at = aaas_at($2) where id = $1`,
    values: [id, env.now()],
  })
}

/** The act and its record in one transaction. */
async function byHand(
  env: OperatorEnvironment,
  id: string,
  operator: SagaOperator,
  force: { readonly act: string; readonly step?: string },
  work: (tx: Queryable, saga: Held) => Promise<void>,
): Promise<void> {
  checkName('actor', operator.actor, 200)
  checkName('reason', operator.reason, 2_000)
  await env.database.transaction(async tx => {
    const [saga] = await tx.query<Held>({
      text: 'select state, parked_from as "from", parked_code as code from aaas_saga where id = $1 for update',
      values: [id],
    })
    if (saga === undefined) throw unknownSaga(id)
    await work(tx, saga)
    await tx.query({
      text: 'insert into aaas_saga_audit (saga_id, actor, reason, act, step) values ($1, $2, $3, $4, $5)',
      values: [id, operator.actor, operator.reason, force.act, force.step ?? null],
    })
  })
}

export function unknownSaga(id: string): CloudError {
  return new CloudError('support.transaction.unknown-saga', `no saga ${id}`, { details: { id } })
}

function wrongState(id: string, saga: Held, why: string): CloudError {
  return new CloudError('support.transaction.wrong-state', `saga ${id} is ${saga.state}: ${why}`, {
    details: { id, state: saga.state },
  })
}
