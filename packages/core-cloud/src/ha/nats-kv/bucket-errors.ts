import { CloudError } from '../../kernel/errors.js'

/** Errors of a bucket as the coordination's. `write`: what was sent may have been stored. */
export async function reaching<T>(kind: 'read' | 'write', run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    throw translated(error, kind)
  }
}

function translated(error: unknown, kind: 'read' | 'write'): unknown {
  if (!CloudError.is(error)) return error
  const as = (code: CloudError['code']): CloudError => new CloudError(code, error.message, { cause: error })
  switch (error.code) {
    case 'core.bus.disconnected':
    case 'core.contract.deadline-exceeded':
      return as(kind === 'read' ? 'core.ha.unavailable' : 'core.ha.outcome-unknown')
    case 'core.bus.unknown-stream':
      return as('core.ha.unavailable')
    case 'core.bus.overloaded':
      return as('core.ha.overloaded')
    case 'core.bus.stream-full':
      return as('core.ha.full')
    case 'core.kernel.stopped':
      return as('core.ha.stopped')
    default:
      return error
  }
}

/** @returns undefined when the bucket was not in the state that was expected. */
export async function unlessConflict<T>(run: () => Promise<T>): Promise<T | undefined> {
  try {
    return await reaching('write', run)
  } catch (error) {
    if (CloudError.is(error, 'core.bus.conflict')) return undefined
    throw error
  }
}
