import { CloudError } from '@aaas/core-cloud/kernel'
import type { Static, TSchema } from 'typebox'
import { Compile } from 'typebox/compile'

interface Fault {
  readonly instancePath: string
  readonly message: string
  readonly params: object
}

/**
 * Checks a service's configuration.
 * @throws CloudError `core.kernel.invalid-config` that names the first bad field; values are never repeated in the
 *   message, they may be keys.
 */
export function parseConfig<S extends TSchema>(schema: S, value: unknown, service: string): Static<S> {
  const validator = Compile(schema)
  if (validator.Check(value)) return value as Static<S>
  const faults = validator.Errors(value) as readonly Fault[]
  // A wrong name inside is more telling than the same fact said of the object around it.
  const fault = faults.find(candidate => candidate.message !== 'schema is false') ?? faults[0]
  const names = fault === undefined ? [] : Object.values(fault.params).flat()
  const path = (fault?.instancePath ?? '').replace(/^\//, '')
  const named = /properties/.test(fault?.message ?? '') && typeof names[0] === 'string' ? names[0] : ''
  const field = [path, named].filter(part => part !== '').join('/')
  throw new CloudError(
    'core.kernel.invalid-config',
    `${service}: ${field || 'config'} ${fault?.message ?? 'is wrong'}`,
    { field },
  )
}

/** @throws CloudError `core.kernel.invalid-config` naming the field when `read` fails. */
export function configValue<T>(field: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'is wrong'
    throw new CloudError('core.kernel.invalid-config', `${field}: ${reason}`, { field, cause })
  }
}
