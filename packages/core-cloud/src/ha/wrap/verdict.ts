import { CloudError, type CloudErrorOptions } from '../../kernel/errors.js'

/**
 * What the failure of an attempt says.
 * - `answered`: the service said no, and would again.
 * - `refused`: the endpoint has too much; it did nothing.
 * - `nothing-done`: it was not reached, or is not responsible any more.
 * - `unknown`: it may have done it.
 * - `late`, `cancelled`: the time of the call, or the caller's patience, is over.
 */
export type Verdict = 'answered' | 'refused' | 'nothing-done' | 'unknown' | 'late' | 'cancelled'

const verdicts: Readonly<Partial<Record<CloudError['code'], Verdict>>> = {
  'core.bus.no-responder': 'nothing-done',
  'core.ha.lost': 'nothing-done',
  'core.ha.unavailable': 'nothing-done',
  'core.bus.overloaded': 'refused',
  'core.ha.overloaded': 'refused',
  'core.bus.disconnected': 'unknown',
  'core.contract.unavailable': 'unknown',
  'core.contract.remote-error': 'unknown',
  'core.contract.invalid-output': 'unknown',
  'core.kernel.internal': 'unknown',
  'core.kernel.stopped': 'unknown',
  'core.ha.stopped': 'unknown',
  'core.ha.outcome-unknown': 'unknown',
  'core.contract.deadline-exceeded': 'late',
  'core.contract.cancelled': 'cancelled',
}

export function verdictOf(error: unknown): Verdict {
  return CloudError.is(error) ? (verdicts[error.code] ?? 'answered') : 'unknown'
}

/** @param idempotent - whether a repeat changes nothing more. */
export function mayRepeat(verdict: Verdict, idempotent: boolean): boolean {
  return verdict === 'refused' || verdict === 'nothing-done' || (verdict === 'unknown' && idempotent)
}

export function nobodyServes(contract: string, options?: CloudErrorOptions): CloudError {
  return new CloudError('core.bus.no-responder', `nobody serves ${contract} now`, options)
}
