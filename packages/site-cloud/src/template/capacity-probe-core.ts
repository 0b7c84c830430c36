/** What decides whether one step of the search passed. */
export interface ProbeStep {
  /** Requests per second that the step was asked for. */
  readonly rate: number
  /** Requests per second that were answered while it was measured. */
  readonly achievedRate: number
  readonly p99Ms: number
  readonly errors: number
}

export interface ProbeLimits {
  /** Each step's p99 must stay below this, in milliseconds. */
  readonly p99Ms: number
  /** Requests per second of the first step. */
  readonly startRate: number
  /** What the rate is multiplied by while steps pass; default 1.6. */
  readonly rampFactor?: number
  /** The search ends when the lowest failing rate is at most this much above the highest passing one; default 0.06. */
  readonly tolerance?: number
  /** Steps that are run at most, repeated ones included; default 30. */
  readonly maxSteps?: number
  /** Default 1. */
  readonly minRate?: number
  /** Default 50_000. */
  readonly maxRate?: number
}

/** `found`: between two neighbouring rates; `max-rate`, `max-steps`: a limit came first; `nothing-passed`: no answer. */
export type ProbeEnd = 'found' | 'max-rate' | 'max-steps' | 'nothing-passed'

export type ProbeTurn =
  | { readonly kind: 'measure'; readonly rate: number; readonly attempt: 1 | 2 }
  | { readonly kind: 'done'; readonly end: ProbeEnd; readonly rate: number; readonly steps: number }

/** Where the search stands; `turn` says what to do next. */
export interface Probe {
  readonly limits: Required<ProbeLimits>
  readonly steps: number
  /** Highest rate that passed; 0 before one did. */
  readonly passed: number
  /** Lowest rate that failed twice; infinite before one did. */
  readonly failed: number
  readonly turn: ProbeTurn
}

/** Share of the asked rate that must be answered. */
const leastAchieved = 0.95

/**
 * A search for the highest rate that passes: upwards in steps until one fails, then between the two by the geometric
 * mean. A step that fails is repeated once, because one pause of a shared machine is no limit of the program. Pure: tell
 * {@link probeStep} what each step gave.
 */
export function startProbe(options: ProbeLimits): Probe {
  const limits = { rampFactor: 1.6, tolerance: 0.06, maxSteps: 30, minRate: 1, maxRate: 50_000, ...options }
  const rate = Math.min(limits.startRate, limits.maxRate)
  return {
    limits,
    steps: 0,
    passed: 0,
    failed: Number.POSITIVE_INFINITY,
    turn: { kind: 'measure', rate, attempt: 1 },
  }
}

export function stepPassed(step: ProbeStep, p99Ms: number): boolean {
  return step.errors === 0 && step.p99Ms < p99Ms && step.achievedRate >= leastAchieved * step.rate
}

/** @returns the search after a step. A search that is done stays as it is. */
export function probeStep(probe: Probe, step: ProbeStep): Probe {
  const { turn, limits } = probe
  if (turn.kind === 'done') return probe
  const steps = probe.steps + 1
  const ok = stepPassed(step, limits.p99Ms)
  if (!ok && turn.attempt === 1 && steps < limits.maxSteps) {
    return { ...probe, steps, turn: { kind: 'measure', rate: turn.rate, attempt: 2 } }
  }
  const next = ok ? { ...probe, steps, passed: turn.rate } : { ...probe, steps, failed: turn.rate }
  return { ...next, turn: nextTurn(next) }
}

function nextTurn({ limits, steps, passed, failed }: Probe): ProbeTurn {
  const done = (end: ProbeEnd): ProbeTurn => ({
    kind: 'done',
    end: passed === 0 ? 'nothing-passed' : end,
    rate: passed,
    steps,
  })
  const measure = (rate: number): ProbeTurn =>
    steps >= limits.maxSteps ? done('max-steps') : { kind: 'measure', rate: tenths(rate), attempt: 1 }
  if (failed === Number.POSITIVE_INFINITY) {
    return passed >= limits.maxRate ? done('max-rate') : measure(Math.min(limits.maxRate, passed * limits.rampFactor))
  }
  if (passed === 0) {
    return failed <= limits.minRate
      ? done('nothing-passed')
      : measure(Math.max(limits.minRate, failed / limits.rampFactor))
  }
  const middle = tenths(Math.sqrt(passed * failed))
  // Low rates have no tenth between them.
  if (failed / passed <= 1 + limits.tolerance || middle <= passed || middle >= failed) return done('found')
  return measure(middle)
}

function tenths(rate: number): number {
  return Math.round(rate * 10) / 10
}
