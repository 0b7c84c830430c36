import type { Queryable } from '../rdbms/database.js'
import type { SagaAudit, SagaParkCode, SagaState, SagaStepView, SagaSummary, SagaView } from './saga.js'
import type { SagaStepRow } from './saga-core.js'

interface SagaRow {
  readonly id: string
  readonly name: string
  readonly version: number
  readonly state: SagaState
  readonly position: number
  readonly startedAt: number
  readonly changedAt: number
  readonly deadlineAt: number
  readonly failure: string | null
  readonly parkedFrom: SagaState | null
  readonly parkedCode: SagaParkCode | null
  readonly parkedReason: string | null
}

const ms = (column: string): string => `(extract(epoch from ${column}) * 1000)::bigint`
const columns = `id, name, version, state, position, ${ms('started_at')} as "startedAt",
  ${ms('changed_at')} as "changedAt", ${ms('deadline_at')} as "deadlineAt", failure, parked_from as "parkedFrom",
  parked_code as "parkedCode", parked_reason as "parkedReason"`

export async function readSaga(on: Queryable, id: string): Promise<SagaView | undefined> {
  const [row] = await on.query<SagaRow & { input: unknown; steps: readonly SagaStepRow[] | null }>({
    name: 'aaas_saga_get',
    text: `select ${columns}, input, (select jsonb_agg(jsonb_build_object('name', p.name, 'state', p.state,
        'attempts', p.attempts, 'compensations', p.compensations, 'wasDone', p.was_done, 'output', p.output,
        'error', p.error) order by p.step) from aaas_saga_step p where p.saga_id = s.id) as steps
      from aaas_saga s where id = $1`,
    values: [id],
  })
  if (row === undefined) return undefined
  const { position: _, ...rest } = summary(row)
  return { ...rest, input: row.input, steps: (row.steps ?? []).map(stepView) }
}

export async function listSagas(
  on: Queryable,
  options: { readonly state?: SagaState; readonly name?: string; readonly after: number; readonly limit: number },
): Promise<readonly SagaSummary[]> {
  const rows = await on.query<SagaRow>({
    text: `select ${columns} from aaas_saga where position > $1 and ($2::text is null or state = $2)
      and ($3::text is null or name = $3) order by position limit $4`,
    values: [options.after, options.state ?? null, options.name ?? null, options.limit],
  })
  return rows.map(summary)
}

export async function auditOf(on: Queryable, id: string): Promise<readonly SagaAudit[]> {
  const rows = await on.query<Omit<SagaAudit, 'step'> & { step: string | null }>({
    text: `select ${ms('at')} as at, actor, reason, act, step from aaas_saga_audit where saga_id = $1 order by id limit 1000`,
    values: [id],
  })
  return rows.map(({ step, ...row }) => ({ ...row, ...(step === null ? {} : { step }) }))
}

function summary(row: SagaRow): SagaSummary {
  const { id, name, version, state, position, startedAt, changedAt, deadlineAt, failure } = row
  const parked =
    row.parkedFrom === null || row.parkedCode === null || row.parkedReason === null
      ? {}
      : { parked: { from: row.parkedFrom, code: row.parkedCode, reason: row.parkedReason } }
  return {
    ...{ id, name, version, state, position, startedAt, changedAt, deadlineAt },
    ...(failure === null ? {} : { failure }),
    ...parked,
  }
}

function stepView(row: SagaStepRow): SagaStepView {
  const { name, state, attempts, compensations } = row
  return {
    ...{ name, state, attempts, compensations },
    ...(row.wasDone ? { output: row.output } : {}),
    ...(row.error === null ? {} : { error: row.error }),
  }
}
