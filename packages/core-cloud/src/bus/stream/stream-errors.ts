import { CloudError, type ErrorBody } from '../../kernel/errors.js'

/** Subjects of the questions; a client needs the right to publish there, nothing else. */
export const streamSubjects = {
  publish: 'aaas.streams.publish',
  fetch: 'aaas.streams.fetch',
  call: 'aaas.streams.call',
} as const

/** Nobody served it, or nobody knows whether somebody did. */
export function isUnreachable(error: unknown): boolean {
  return CloudError.is(error, 'core.bus.disconnected') || CloudError.is(error, 'core.bus.no-responder')
}

/** The error that a server sent. */
export function errorOf(bytes: Buffer): CloudError {
  try {
    return CloudError.fromBody(JSON.parse(bytes.toString()) as ErrorBody)
  } catch (cause) {
    return new CloudError('core.contract.remote-error', 'the server of streams sent an error that cannot be read', {
      cause,
    })
  }
}
