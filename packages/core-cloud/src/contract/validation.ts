import type { TSchema } from 'typebox'
import { Compile, type Validator } from 'typebox/compile'
import { CloudError } from '../kernel/errors.js'

/** What is wrong with a value, and where. */
export interface Flaw {
  /** Path such as `lines/0/quantity`; empty for the value itself. */
  readonly field: string
  /** Such as `must be >= 1`. */
  readonly reason: string
}

interface SchemaFault {
  readonly keyword: string
  readonly schemaPath: string
  readonly instancePath: string
  readonly params: object
  readonly message: string
}

const compiled = new WeakMap<TSchema, Validator>()

/** The compiled form of a schema, made once. */
export function validatorOf(schema: TSchema): Validator {
  let validator = compiled.get(schema)
  if (validator === undefined) {
    validator = Compile(schema)
    compiled.set(schema, validator)
  }
  return validator
}

/** @throws CloudError `core.contract.invalid-input` with the first wrong field and the reason. */
export function checkInput(schema: TSchema, value: unknown, what: string): void {
  if (validatorOf(schema).Check(value)) return
  throw invalidInput(flawOf(schema, value), what)
}

function invalidInput({ field, reason }: Flaw, what: string): CloudError {
  return new CloudError('core.contract.invalid-input', `${what}: ${field === '' ? 'the input' : field} ${reason}`, {
    field,
  })
}

/** The most telling flaw of a value that does not fit. */
export function flawOf(schema: TSchema, value: unknown): Flaw {
  const faults = validatorOf(schema).Errors(value) as SchemaFault[]
  // Branches of a union all complain; the union itself says it once.
  const first =
    faults.find(fault => !/\/(anyOf|oneOf)\//.test(fault.schemaPath) && fault.keyword !== 'boolean') ?? faults[0]
  if (first === undefined) return { field: '', reason: 'does not fit' }
  if (first.keyword === 'anyOf' || first.keyword === 'oneOf') return unionFlaw(first, faults)
  return flaw(first)
}

function flaw(fault: SchemaFault): Flaw {
  const path = fieldOf(fault.instancePath)
  const missing = nameIn(fault.params, 'requiredProperties')
  if (missing !== undefined) return { field: below(path, missing), reason: 'is missing' }
  const extra = nameIn(fault.params, 'additionalProperties')
  if (extra !== undefined) return { field: below(path, extra), reason: 'is not allowed' }
  if (fault.keyword === 'const' && 'allowedValue' in fault.params) {
    return { field: path, reason: `must be ${JSON.stringify(fault.params.allowedValue)}` }
  }
  return { field: path, reason: fault.message }
}

function unionFlaw(union: SchemaFault, faults: readonly SchemaFault[]): Flaw {
  const inside = faults.filter(fault => fault.schemaPath.startsWith(`${union.schemaPath}/${union.keyword}/`))
  const deepest = inside
    .filter(fault => fault.instancePath.length > union.instancePath.length && fault.keyword !== 'boolean')
    .sort((a, b) => b.instancePath.length - a.instancePath.length)[0]
  if (deepest !== undefined) return flaw(deepest)
  const values = inside.flatMap(fault =>
    'allowedValue' in fault.params ? [JSON.stringify(fault.params.allowedValue)] : [],
  )
  const field = fieldOf(union.instancePath)
  if (values.length > 0) return { field, reason: `must be one of ${values.join(', ')}` }
  return { field, reason: 'has none of the allowed forms' }
}

/** JSON pointer to the path that people read. */
function fieldOf(pointer: string): string {
  return pointer.replace(/^\//, '').replaceAll('~1', '/').replaceAll('~0', '~')
}

function below(path: string, name: string): string {
  return path === '' ? name : `${path}/${name}`
}

function nameIn(params: object, key: string): string | undefined {
  const names: unknown = (params as Record<string, unknown>)[key]
  return Array.isArray(names) && typeof names[0] === 'string' ? names[0] : undefined
}
