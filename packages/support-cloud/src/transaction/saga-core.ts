import type { SagaAction, SagaDefinition, SagaParkCode, SagaState, SagaStep, SagaStepState } from './saga.js'

/** A step as it is stored. `output` counts when `wasDone`. */
export interface SagaStepRow {
  readonly step: number
  readonly name: string
  readonly state: SagaStepState
  readonly attempts: number
  readonly resolves: number
  readonly compensations: number
  readonly wasDone: boolean
  readonly output: unknown
  readonly error: string | null
  /** Epoch milliseconds. */
  readonly changedAt: number
}

/** What the decision is made from. */
export interface SagaFacts {
  readonly state: SagaState
  readonly cancelReason: string | null
  readonly deadlineAt: number
  readonly idleClaims: number
  readonly steps: readonly SagaStepRow[]
  /** Signals that no step took yet, oldest first. */
  readonly signals: readonly { readonly signalId: string; readonly name: string; readonly payload: unknown }[]
}

/** What to do next. Moves with a step are recorded before they are made. */
export type SagaMove =
  | { readonly kind: 'run' | 'resolve' | 'compensate'; readonly step: number }
  /** The wait ends with this signal. */
  | { readonly kind: 'take-signal'; readonly step: number; readonly signalId: string; readonly payload: unknown }
  /** Nothing to do until `until` (epoch milliseconds) or a signal. */
  | { readonly kind: 'wait'; readonly step: number; readonly until: number }
  /** The step's failure is final. */
  | {
      readonly kind: 'mark'
      readonly step: number
      readonly state: 'unknown' | 'refused' | 'kept'
      readonly why?: string
    }
  /** From forward to backward. */
  | { readonly kind: 'turn'; readonly reason: string }
  | { readonly kind: 'end'; readonly state: 'completed' | 'compensated' }
  | { readonly kind: 'park'; readonly code: SagaParkCode; readonly reason: string }

export const sagaDefaults = {
  run: { attempts: 5, firstPauseMs: 200, longestPauseMs: 60_000 },
  compensate: { attempts: 10, firstPauseMs: 200, longestPauseMs: 60_000 },
  resolve: { attempts: 20, firstPauseMs: 1_000, longestPauseMs: 60_000 },
  stepMs: 30_000,
  sagaMs: 86_400_000,
  /** Claims in a row that led to no record; then the saga is parked. */
  mostIdleClaims: 20,
} as const

/** Pure: the next move from what is stored and what time it is. */
export function nextSagaMove(definition: SagaDefinition, facts: SagaFacts, now: number): SagaMove {
  if (facts.idleClaims > sagaDefaults.mostIdleClaims) {
    const reason = `taken up ${facts.idleClaims} times in a row without getting on`
    return { kind: 'park', code: 'poison', reason }
  }
  const rows = new Map(facts.steps.map(row => [row.step, row]))
  return facts.state === 'compensating' ? backward(definition, rows) : forward(definition, facts, rows, now)
}

export function isWait(step: SagaStep): step is Extract<SagaStep, { waitFor: string }> {
  return 'waitFor' in step
}

/** True when a point of no return was begun: the saga only goes forward. */
export function isCommitted(definition: SagaDefinition, rows: ReadonlyMap<number, SagaStepRow>): boolean {
  return definition.steps.some((step, index) => isForwardOnly(step) && rows.has(index))
}

function isForwardOnly(step: SagaStep): boolean {
  return !isWait(step) && step.onFailure === 'park'
}

function forward(
  definition: SagaDefinition,
  facts: SagaFacts,
  rows: ReadonlyMap<number, SagaStepRow>,
  now: number,
): SagaMove {
  const committed = isCommitted(definition, rows)
  if (!committed && facts.cancelReason !== null) return { kind: 'turn', reason: `cancelled: ${facts.cancelReason}` }
  for (const [index, step] of definition.steps.entries()) {
    const row = rows.get(index)
    if (row?.state === 'done') continue
    if (!committed && now >= facts.deadlineAt) return { kind: 'turn', reason: 'the saga did not end in time' }
    return isWait(step)
      ? waiting(step, index, row, facts, now, committed)
      : acting(step, index, row, committed || isForwardOnly(step))
  }
  return { kind: 'end', state: 'completed' }
}

function waiting(
  step: Extract<SagaStep, { waitFor: string }>,
  index: number,
  row: SagaStepRow | undefined,
  facts: SagaFacts,
  now: number,
  committed: boolean,
): SagaMove {
  const signal = facts.signals.find(one => one.name === step.waitFor)
  if (signal !== undefined) return { kind: 'take-signal', step: index, ...pick(signal) }
  // The first look records when the wait began.
  const end = row === undefined ? now + (step.timeoutMs ?? Number.POSITIVE_INFINITY) : endOfWait(step, row)
  const until = committed ? end : Math.min(end, facts.deadlineAt)
  if (now < until) return { kind: 'wait', step: index, until }
  const reason = `no signal ${step.waitFor} in time`
  return committed ? { kind: 'park', code: 'step-failed', reason } : { kind: 'turn', reason }
}

function endOfWait(step: Extract<SagaStep, { waitFor: string }>, row: SagaStepRow): number {
  return step.timeoutMs === undefined ? Number.POSITIVE_INFINITY : row.changedAt + step.timeoutMs
}

function pick(signal: SagaFacts['signals'][number]) {
  return { signalId: signal.signalId, payload: signal.payload }
}

function acting(step: SagaAction, index: number, row: SagaStepRow | undefined, committed: boolean): SagaMove {
  const why = row?.error ?? 'it was cut short'
  switch (row?.state) {
    case undefined:
      return { kind: 'run', step: index }
    case 'intended':
      if (row.attempts < (step.retry?.attempts ?? sagaDefaults.run.attempts)) return { kind: 'run', step: index }
      return { kind: 'mark', step: index, state: 'unknown' }
    case 'unknown':
      if (step.unknown === undefined) {
        const reason = `${step.name} failed ${row.attempts} times and may have happened: ${why}`
        return committed ? { kind: 'park', code: 'outcome-unknown', reason } : { kind: 'turn', reason }
      }
      if (row.resolves < (step.unknownRetry?.attempts ?? sagaDefaults.resolve.attempts)) {
        return { kind: 'resolve', step: index }
      }
      return {
        kind: 'park',
        code: 'outcome-unknown',
        reason: `what became of ${step.name} could not be found out: ${why}`,
      }
    default: {
      const reason = `${step.name} was refused: ${why}`
      return committed ? { kind: 'park', code: 'step-failed', reason } : { kind: 'turn', reason }
    }
  }
}

/** Last first; a step whose outcome is not known is taken back like one that was done. */
function backward(definition: SagaDefinition, rows: ReadonlyMap<number, SagaStepRow>): SagaMove {
  for (let index = definition.steps.length - 1; index >= 0; index--) {
    const row = rows.get(index)
    const step = definition.steps[index]
    if (row === undefined || step === undefined || isSettled(row.state)) continue
    if (isWait(step) || step.compensate === undefined) return { kind: 'mark', step: index, state: 'kept' }
    if (row.compensations < (step.compensateRetry?.attempts ?? sagaDefaults.compensate.attempts)) {
      return { kind: 'compensate', step: index }
    }
    return {
      kind: 'park',
      code: 'compensation-failed',
      reason: `${step.name} could not be taken back in ${row.compensations} tries: ${row.error ?? 'it was cut short'}`,
    }
  }
  return { kind: 'end', state: 'compensated' }
}

function isSettled(state: SagaStepState): boolean {
  return state === 'refused' || state === 'compensated' || state === 'kept'
}
