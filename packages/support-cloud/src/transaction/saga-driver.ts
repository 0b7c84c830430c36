import { type Clock, CloudError, type Ids, type Logger, sleep } from '@aaas/core-cloud/kernel'
import type { SagaAction, SagaDefinition, SagaRetry, SagaStepContext } from './saga.js'
import {
  isCommitted,
  nextSagaMove,
  type SagaFacts,
  type SagaMove,
  type SagaStepRow,
  sagaDefaults,
} from './saga-core.js'
import { errorText, type SagaPatch, type StepPatch, storable } from './saga-record.js'

/** A saga as it was taken from the queue. Times are epoch milliseconds of the clock that leases are counted by. */
export interface ClaimedSaga extends SagaFacts {
  readonly id: string
  readonly fence: number
  readonly name: string
  readonly version: number
  readonly input: unknown
  readonly signalCount: number
  readonly failure: string | null
  readonly now: number
}

export interface SagaDriverEnvironment {
  readonly clock: Clock
  readonly ids: Pick<Ids, 'random'>
  readonly logger: Logger
  readonly leaseMs: number
  readonly maxPayloadBytes: number
  /** @returns whether it was recorded, and the reason of a cancellation that was asked for. */
  record(
    saga: ClaimedSaga,
    patch: SagaPatch,
    steps: readonly StepPatch[],
  ): Promise<{ readonly recorded: boolean; readonly cancel: string | null }>
}

/** What a try came to. */
type Tried =
  | { readonly kind: 'done'; readonly output: unknown }
  | { readonly kind: 'refused' | 'failed'; readonly error: string }

/**
 * Takes one saga as far as it goes now. What a move found out is recorded together with the intent of the next one, in
 * one statement: n steps cost n + 1 commits.
 */
export async function driveSaga(
  env: SagaDriverEnvironment,
  definition: SagaDefinition,
  claimed: ClaimedSaga,
  signals: { readonly lost: AbortSignal; readonly stopping: AbortSignal },
): Promise<number | undefined> {
  return new Drive(env, definition, claimed, signals).run()
}

class Drive {
  readonly #env: SagaDriverEnvironment
  readonly #definition: SagaDefinition
  readonly #saga: ClaimedSaga
  readonly #lost: AbortSignal
  readonly #stopping: AbortSignal
  readonly #rows: Map<number, SagaStepRow>
  readonly #offset: number
  #facts: SagaFacts
  #unsaved = new Map<number, StepPatch>()
  #patch: Partial<SagaPatch> = {}

  constructor(
    env: SagaDriverEnvironment,
    definition: SagaDefinition,
    saga: ClaimedSaga,
    { lost, stopping }: { readonly lost: AbortSignal; readonly stopping: AbortSignal },
  ) {
    this.#env = env
    this.#definition = definition
    this.#saga = saga
    this.#facts = saga
    this.#lost = lost
    this.#stopping = stopping
    this.#rows = new Map(saga.steps.map(row => [row.step, row]))
    this.#offset = saga.now - env.clock.now()
  }

  /** @returns milliseconds until the saga is due again, when it was laid down. */
  async run(): Promise<number | undefined> {
    for (;;) {
      if (this.#lost.aborted) return undefined
      if (this.#stopping.aborted) return this.#layDown(0)
      const facts = { ...this.#facts, steps: [...this.#rows.values()] }
      const move = nextSagaMove(this.#definition, facts, this.#now())
      const end = await this.#make(move)
      if (end !== 'on') return end.dueMs
    }
  }

  /** Makes a move; `on`: look for the next one. */
  async #make(move: SagaMove): Promise<'on' | { readonly dueMs: number | undefined }> {
    switch (move.kind) {
      case 'run':
        return this.#try(move.step, 'run')
      case 'resolve':
        return this.#try(move.step, 'resolve')
      case 'compensate':
        return this.#try(move.step, 'compensate')
      case 'take-signal':
        this.#change(move.step, { state: 'done', wasDone: true, output: move.payload }, move.signalId)
        this.#facts = { ...this.#facts, signals: this.#facts.signals.filter(one => one.signalId !== move.signalId) }
        return 'on'
      case 'mark':
        this.#change(move.step, { state: move.state })
        return 'on'
      case 'turn':
        this.#facts = { ...this.#facts, state: 'compensating' }
        this.#patch = { state: 'compensating', failure: errorText(move.reason) }
        return 'on'
      case 'wait': {
        if (!this.#rows.has(move.step)) this.#change(move.step, { state: 'intended', attempts: 1 })
        return { dueMs: await this.#layDown(Math.min(move.until - this.#now(), 86_400_000)) }
      }
      case 'end':
        await this.#record({ state: move.state, release: true })
        return { dueMs: undefined }
      case 'park': {
        const reason = errorText(move.reason)
        this.#env.logger.error('saga: parked', { saga: this.#saga.id, reason })
        const from = this.#facts.state
        await this.#record({
          state: 'parked',
          parkedFrom: from,
          parkedCode: move.code,
          parkedReason: reason,
          release: true,
        })
        return { dueMs: undefined }
      }
    }
  }

  /** Records the intent, makes one try, and notes what it came to. */
  async #try(index: number, way: 'run' | 'resolve' | 'compensate'): Promise<'on' | { dueMs: number | undefined }> {
    const before = this.#rows.get(index)
    if (way === 'run') this.#change(index, { state: 'intended', attempts: (before?.attempts ?? 0) + 1 })
    if (way === 'resolve') this.#change(index, { resolves: (before?.resolves ?? 0) + 1 })
    if (way === 'compensate') {
      this.#change(index, { state: 'compensating', compensations: (before?.compensations ?? 0) + 1 })
    }
    if (!(await this.#record({}))) return { dueMs: undefined }
    const step = this.#definition.steps[index] as SagaAction
    const tried = await this.#execute(step, index, way)
    if (this.#lost.aborted) return { dueMs: undefined }
    return this.#conclude(step, index, way, tried)
  }

  async #conclude(
    step: SagaAction,
    index: number,
    way: 'run' | 'resolve' | 'compensate',
    tried: Tried,
  ): Promise<'on' | { dueMs: number | undefined }> {
    const row = this.#rows.get(index)
    if (row === undefined) throw new Error(`step ${index} has no record`)
    if (tried.kind === 'done') {
      if (way === 'compensate') this.#change(index, { state: 'compensated' })
      else this.#change(index, { state: 'done', wasDone: true, output: tried.output })
      return 'on'
    }
    this.#env.logger.warn(`saga: a try to ${way} a step failed`, {
      saga: this.#saga.id,
      step: step.name,
      reason: tried.error,
    })
    const error = tried.error
    if (tried.kind === 'refused' && way !== 'compensate') {
      // A refusal speaks for its own try. An earlier one, of this node or of one that hangs, may have got through.
      const definite = way === 'resolve' || (row.attempts === 1 && row.error === null)
      this.#change(index, { state: definite ? 'refused' : 'unknown', error })
      return 'on'
    }
    this.#change(index, { error })
    const [retry, count, defaults] = {
      run: [step.retry, row.attempts, sagaDefaults.run] as const,
      resolve: [step.unknownRetry, row.resolves, sagaDefaults.resolve] as const,
      compensate: [step.compensateRetry, row.compensations, sagaDefaults.compensate] as const,
    }[way]
    const rules = { ...defaults, ...retry }
    // The last try is followed by a decision, not by a pause.
    if (count >= rules.attempts) return 'on'
    const pause = this.#pauseAfter(count, rules)
    const left = this.#facts.deadlineAt - this.#now()
    return { dueMs: await this.#layDown(way === 'run' && left > 0 ? Math.min(pause, left) : pause) }
  }

  async #execute(step: SagaAction, index: number, way: 'run' | 'resolve' | 'compensate'): Promise<Tried> {
    const { clock } = this.#env
    const row = this.#rows.get(index)
    const abort = new AbortController()
    const onLost = (): void => abort.abort(this.#lost.reason)
    this.#lost.addEventListener('abort', onLost, { once: true })
    const ms = this.#timeLimit(step, way)
    const cancel = clock.after(ms, () => {
      abort.abort(new CloudError('core.contract.deadline-exceeded', `${step.name} did not answer within ${ms} ms`))
    })
    const key = `${this.#saga.id}/${step.name}`
    const context: SagaStepContext = {
      sagaId: this.#saga.id,
      input: this.#saga.input,
      outputs: this.#outputs(index),
      key: way === 'compensate' ? `${key}/undo` : key,
      attempt:
        way === 'run' ? (row?.attempts ?? 1) : way === 'resolve' ? (row?.resolves ?? 1) : (row?.compensations ?? 1),
      signal: abort.signal,
    }
    try {
      return await raceAbort(this.#call(step, way, context, row), abort.signal)
    } catch (error) {
      // Only a definite refusal tells that nothing happened.
      const definite = CloudError.is(error) && !error.retryable && error.status < 500 && !abort.signal.aborted
      return { kind: definite ? 'refused' : 'failed', error: errorText(error) }
    } finally {
      cancel()
      this.#lost.removeEventListener('abort', onLost)
    }
  }

  async #call(
    step: SagaAction,
    way: 'run' | 'resolve' | 'compensate',
    context: SagaStepContext,
    row: SagaStepRow | undefined,
  ): Promise<Tried> {
    const most = this.#env.maxPayloadBytes
    if (way === 'compensate') {
      const known = row?.wasDone === true
      await step.compensate?.({
        ...context,
        output: known ? row.output : undefined,
        outcome: known ? 'done' : 'unknown',
      })
      return { kind: 'done', output: null }
    }
    if (way === 'run') return { kind: 'done', output: possiblyDone(await step.run(context), most) }
    const knowledge = (await step.unknown?.(context)) ?? { outcome: 'unknown' }
    if (knowledge.outcome === 'done') return { kind: 'done', output: possiblyDone(knowledge.output, most) }
    if (knowledge.outcome === 'not-done') return { kind: 'refused', error: row?.error ?? 'it did not happen' }
    return { kind: 'failed', error: row?.error ?? 'its outcome is unknown' }
  }

  #timeLimit(step: SagaAction, way: 'run' | 'resolve' | 'compensate'): number {
    const ms = step.timeoutMs ?? sagaDefaults.stepMs
    if (way !== 'run' || isCommitted(this.#definition, this.#rows)) return ms
    return Math.max(1, Math.min(ms, this.#facts.deadlineAt - this.#now()))
  }

  #outputs(before: number): Readonly<Record<string, unknown>> {
    const done = [...this.#rows.values()].filter(row => row.step < before && row.wasDone)
    return Object.fromEntries(done.map(row => [row.name, row.output]))
  }

  #pauseAfter(count: number, rules: Required<SagaRetry>): number {
    const pause = Math.min(rules.longestPauseMs, rules.firstPauseMs * 2 ** Math.min(count - 1, 30))
    return pause * (0.75 + this.#env.ids.random() / 2)
  }

  #change(index: number, change: Partial<SagaStepRow>, signalId?: string): void {
    const before = this.#rows.get(index) ?? {
      ...{ step: index, name: this.#definition.steps[index]?.name ?? '', state: 'intended', attempts: 0, resolves: 0 },
      ...{ compensations: 0, wasDone: false, output: null, error: null, changedAt: this.#now() },
    }
    const row = { ...before, ...change } as SagaStepRow
    this.#rows.set(index, row)
    const taken = signalId ?? this.#unsaved.get(index)?.signalId
    this.#unsaved.set(index, { ...row, ...(taken === undefined ? {} : { signalId: taken }) })
  }

  async #layDown(dueMs: number): Promise<number | undefined> {
    const ms = Math.max(0, dueMs)
    return (await this.#record({ release: true, dueMs: ms })) ? ms : undefined
  }

  /** Writes everything that is not written yet. While the database is away, what is known is kept and tried again. */
  async #record(patch: Partial<SagaPatch>): Promise<boolean> {
    const { clock, ids, leaseMs, logger } = this.#env
    const saga: SagaPatch = {
      ...{ dueMs: patch.release === true ? 0 : leaseMs, signalCount: this.#saga.signalCount },
      ...this.#patch,
      ...patch,
    }
    for (let count = 0; ; count++) {
      try {
        const answer = await this.#env.record(this.#saga, saga, [...this.#unsaved.values()])
        if (!answer.recorded) logger.warn('saga: another worker has taken it over', { saga: this.#saga.id })
        this.#unsaved = new Map()
        this.#patch = {}
        this.#facts = { ...this.#facts, idleClaims: 0, cancelReason: answer.cancel ?? this.#facts.cancelReason }
        return answer.recorded
      } catch (error) {
        if (!CloudError.is(error, 'support.rdbms.unavailable')) throw error
        const pause = Math.min(1_000, 50 * 2 ** count) * (0.5 + ids.random())
        const goesOn = await sleep(clock, pause, this.#lost).then(
          () => true,
          () => false,
        )
        if (!goesOn) return false
      }
    }
  }

  #now(): number {
    return this.#env.clock.now() + this.#offset
  }
}

/** An output that cannot be kept: the step has happened, but nobody can go on from it. */
function possiblyDone(output: unknown, most: number): unknown {
  try {
    return storable('output', output, most)
  } catch (error) {
    throw new Error(errorText(error), { cause: error })
  }
}

function raceAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
