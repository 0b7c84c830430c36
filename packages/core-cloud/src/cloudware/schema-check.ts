import type { TSchema } from 'typebox'
import { Compile, type Validator } from 'typebox/compile'

/** The first thing wrong with a value: where (`aaas/hooks/0/hook`, empty for the value itself) and what. */
export interface SchemaFault {
  readonly field: string
  readonly message: string
}

const compiled = new WeakMap<TSchema, Validator>()

/** A validator of a schema, compiled once. Only for schemas of our own programs: compiling one runs code made from it. */
export function validatorOf(schema: TSchema): Validator {
  let validator = compiled.get(schema)
  if (validator === undefined) {
    validator = Compile(schema)
    compiled.set(schema, validator)
  }
  return validator
}

interface ValidationError {
  readonly keyword: string
  readonly instancePath: string
  readonly params: object
  readonly message: string
}

/** Turns a validator's list of errors into one sentence about one field. */
export function firstFault(errors: readonly ValidationError[]): SchemaFault {
  // 'boolean' repeats what 'additionalProperties' says better, and each branch of a union complains for itself.
  const error = errors.find(each => each.keyword !== 'boolean')
  if (error === undefined) return { field: '', message: 'is not allowed' }
  const path = error.instancePath.slice(1)
  const named = namedProperty(error)
  const field = named === undefined ? path : path === '' ? named : `${path}/${named}`
  if (error.keyword === 'additionalProperties') return { field, message: 'is not a known field' }
  if (error.keyword === 'required') return { field, message: 'is required' }
  if (error.keyword !== 'const') return { field, message: error.message }
  const allowed = errors
    .filter(each => each.keyword === 'const' && each.instancePath === error.instancePath)
    .map(each => JSON.stringify((each.params as { allowedValue?: unknown }).allowedValue))
  return { field, message: `must be ${allowed.join(', ')}` }
}

function namedProperty(error: ValidationError): string | undefined {
  const { requiredProperties, additionalProperties } = error.params as Record<string, readonly string[] | undefined>
  return requiredProperties?.[0] ?? additionalProperties?.[0]
}
