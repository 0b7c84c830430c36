import { validRange } from 'semver'
import { CloudError } from '../kernel/errors.js'
import { PackageJson, packageNamePattern } from './manifest.js'
import { firstFault, type SchemaFault, validatorOf } from './schema-check.js'

/**
 * Reads a parsed package.json: fills in the defaults of the manifest and drops what the platform does not read.
 * The argument is not changed.
 * @throws CloudError `core.cloudware.invalid-manifest`; `field` is a path such as `aaas/hooks/0/hook`.
 */
export function parsePackageJson(value: unknown): PackageJson {
  const validator = validatorOf(PackageJson)
  const filled = validator.Default(structuredClone(value))
  if (!validator.Check(filled)) throw refuse(firstFault(validator.Errors(filled)))
  const { name, version, description, aaas } = filled as PackageJson
  const fault = faultOf(aaas)
  if (fault !== undefined) throw refuse(fault)
  return { name, version, ...(description === undefined ? {} : { description }), aaas }
}

/** @throws CloudError `core.cloudware.invalid-manifest` when the text is not JSON or not a manifest. */
export function parsePackageJsonText(text: string): PackageJson {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new CloudError('core.cloudware.invalid-manifest', 'package.json is not JSON', { cause })
  }
  return parsePackageJson(value)
}

/** What a schema cannot say. */
function faultOf(aaas: PackageJson['aaas']): SchemaFault | undefined {
  if (validRange(aaas.engine) === null) return { field: 'aaas/engine', message: 'is not a semver range' }
  for (const [name, range] of Object.entries(aaas.requires ?? {})) {
    if (!new RegExp(packageNamePattern).test(name))
      return { field: `aaas/requires/${name}`, message: 'is not a package name' }
    if (validRange(range) === null) return { field: `aaas/requires/${name}`, message: 'is not a semver range' }
  }
  const hooks = aaas.hooks ?? []
  if (hooks.length > 0 && aaas.kind !== 'cloudware') {
    return { field: 'aaas/hooks', message: 'is for packages of kind cloudware only' }
  }
  if (hooks.length === 0 && aaas.kind === 'cloudware') {
    return {
      field: 'aaas/hooks',
      message: 'must name at least one hook: a package of kind cloudware without one does nothing',
    }
  }
  const seen = new Set<string>()
  for (const [index, { hook }] of hooks.entries()) {
    if (seen.has(hook)) return { field: `aaas/hooks/${index}/hook`, message: `names ${hook} a second time` }
    seen.add(hook)
  }
  const { config } = aaas
  if (config !== undefined && (typeof config !== 'object' || config === null || Array.isArray(config))) {
    return { field: 'aaas/config', message: 'must be a JSON Schema object' }
  }
  return undefined
}

function refuse({ field, message }: SchemaFault): CloudError {
  return new CloudError('core.cloudware.invalid-manifest', `package.json: ${field === '' ? 'it' : field} ${message}`, {
    ...(field === '' ? {} : { field }),
  })
}
