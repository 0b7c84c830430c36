import { CloudError } from '../kernel/errors.js'

/** What a served method has done since it began, for those who ask a service how it does. */
export class ServiceCounters {
  requests = 0
  errors = 0
  /** Milliseconds of all calls together. */
  totalMs = 0
  /** `code: message` of the latest error, at most 500 characters. */
  lastError = ''

  note(ms: number, error: unknown): void {
    this.requests += 1
    this.totalMs += ms
    if (error === undefined) return
    this.errors += 1
    // The text of an error that nobody threw on purpose may hold anything.
    this.lastError = CloudError.is(error) ? `${error.code}: ${error.message}`.slice(0, 500) : 'core.kernel.internal'
  }
}
