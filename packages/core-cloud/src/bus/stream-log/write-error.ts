import { CloudError } from '../../kernel/errors.js'

/** What a publisher learns when the disk refused. */
export function writeError(cause: unknown, what: string): CloudError {
  if (CloudError.is(cause)) return cause
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new CloudError('core.bus.stream-full', `the disk of ${what} is full; nothing was stored`, {
      cause,
      retryable: true,
    })
  }
  return new CloudError('core.kernel.not-writable', `${what} cannot be written; nothing was stored`, { cause })
}
