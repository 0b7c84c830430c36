import { readFile } from 'node:fs/promises'
import { flawOf, propertiesOf, validatorOf, valueOfText } from '@aaas/core-cloud/contract'
import type { Static, TSchema } from 'typebox'
import { CloudError } from './errors.js'

export interface ConfigSources {
  /** Lowest rank. */
  readonly defaults?: Readonly<Record<string, unknown>>
  /** Path of a JSON file; one that is not there counts as empty. At most 1 MiB. */
  readonly file?: string
  /** Highest rank: the environment, given as an argument so that this can be tested. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Start of the variables' names; default `AAAS_`. The field `bus.socketPath` is `AAAS_BUS_SOCKET_PATH`. */
  readonly prefix?: string
}

type Fields = Record<string, unknown>

/**
 * Reads the configuration of a program: defaults, then a JSON file, then the environment, checked against an object schema.
 * Objects are merged field by field, anything else is replaced.
 * @throws CloudError `core.kernel.invalid-config` with the field that is wrong, such as `bus/socketPath`.
 */
export async function loadConfig<S extends TSchema>(schema: S, sources: ConfigSources): Promise<Static<S>> {
  const merged: Fields = {}
  merge(merged, sources.defaults ?? {})
  if (sources.file !== undefined) merge(merged, await readConfigFile(sources.file))
  merge(merged, fromEnvironment(schema, sources.environment ?? {}, sources.prefix ?? 'AAAS_'))
  if (validatorOf(schema).Check(merged)) return merged as Static<S>
  const { field, reason } = flawOf(schema, merged)
  throw new CloudError('core.kernel.invalid-config', `configuration: ${field === '' ? 'it' : field} ${reason}`, {
    field,
  })
}

async function readConfigFile(file: string): Promise<Fields> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {}
    throw new CloudError('core.kernel.invalid-config', `${file} cannot be read`, { field: 'file', cause: error })
  }
  let value: unknown
  try {
    value = text.length > 1_048_576 ? undefined : JSON.parse(text)
  } catch (cause) {
    throw new CloudError('core.kernel.invalid-config', `${file} is not JSON`, { field: 'file', cause })
  }
  if (isFields(value)) return value
  throw new CloudError('core.kernel.invalid-config', `${file} must hold one JSON object of at most 1 MiB`, {
    field: 'file',
  })
}

function fromEnvironment(
  schema: TSchema,
  environment: Readonly<Record<string, string | undefined>>,
  prefix: string,
): Fields {
  const fields: Fields = {}
  for (const [name, property] of Object.entries(propertiesOf(schema))) {
    const variable =
      prefix +
      name
        .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
        .replaceAll('-', '_')
        .toUpperCase()
    if (Object.keys(propertiesOf(property)).length > 0) {
      const nested = fromEnvironment(property, environment, `${variable}_`)
      if (Object.keys(nested).length > 0) fields[name] = nested
    }
    const text = environment[variable]
    if (text !== undefined && text !== '') fields[name] = valueOfText(property, text)
  }
  return fields
}

function merge(into: Fields, from: Readonly<Fields>): void {
  for (const [name, value] of Object.entries(from)) {
    // A file may name `__proto__`; a configuration never needs it.
    if (name === '__proto__' || value === undefined) continue
    const present = into[name]
    if (isFields(value)) {
      const copy: Fields = isFields(present) ? present : {}
      merge(copy, value)
      into[name] = copy
    } else into[name] = value
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
