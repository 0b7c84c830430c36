import type { TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { CloudError } from '../kernel/errors.js'
import type { PackageJson } from './manifest.js'
import { firstFault } from './schema-check.js'

/**
 * Checks a configuration against the schema in a package's manifest.
 * @param config - undefined counts as `{}`; the argument is not changed.
 * @returns the configuration with the defaults of the schema's top level filled in.
 * @throws CloudError `core.kernel.invalid-config`; `field` is a path such as `config/percent`.
 */
export function checkPackageConfig(packageJson: PackageJson, config: unknown): unknown {
  const schema = packageJson.aaas.config as
    | (TSchema & { properties?: Record<string, { default?: unknown }> })
    | undefined
  if (schema === undefined) return config ?? {}
  const filled = withDefaults(schema.properties ?? {}, config ?? {})
  // Interpreted, not compiled: compiling runs code made from the schema, and the schema is the package author's.
  let faults: ReturnType<typeof Value.Errors>
  try {
    faults = Value.Check(schema, filled) ? [] : Value.Errors(schema, filled)
    if (faults.length === 0) return filled
  } catch (cause) {
    throw new CloudError(
      'core.kernel.invalid-config',
      `the configuration schema of ${packageJson.name} cannot be used`,
      {
        field: 'config',
        cause,
      },
    )
  }
  const { field, message } = firstFault(faults)
  const path = field === '' ? 'config' : `config/${field}`
  throw new CloudError('core.kernel.invalid-config', `${packageJson.name}: ${path} ${message}`, { field: path })
}

function withDefaults(properties: Record<string, { default?: unknown }>, config: unknown): unknown {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) return config
  const filled: Record<string, unknown> = { ...config }
  for (const [name, property] of Object.entries(properties)) {
    if (!Object.hasOwn(filled, name) && property.default !== undefined) filled[name] = structuredClone(property.default)
  }
  return filled
}
