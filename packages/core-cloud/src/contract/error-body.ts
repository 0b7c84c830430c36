import type { ErrorBody } from '../kernel/errors.js'

/** Reads an error body from another process; what is missing is filled in. */
export function errorBodyOf(value: unknown): ErrorBody {
  const body: Partial<Record<keyof ErrorBody, unknown>> = typeof value === 'object' && value !== null ? value : {}
  return {
    code: typeof body.code === 'string' ? body.code : 'core.contract.remote-error',
    message: typeof body.message === 'string' ? body.message : 'the other side failed and did not say how',
    retryable: body.retryable === true,
    ...(typeof body.field === 'string' ? { field: body.field } : {}),
    ...(typeof body.details === 'object' && body.details !== null
      ? { details: body.details as Record<string, unknown> }
      : {}),
  }
}
