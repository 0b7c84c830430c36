import type { TSchema } from 'typebox'
import { validatorOf } from './validation.js'

/** The keywords this file looks at; a schema may have any. */
export interface SchemaView {
  readonly type?: string
  readonly properties?: Readonly<Record<string, TSchema>>
  readonly required?: readonly string[]
  readonly items?: TSchema
  readonly anyOf?: readonly TSchema[]
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly description?: string
  readonly default?: unknown
}

export function viewOf(schema: TSchema): SchemaView {
  return schema as SchemaView
}

/** Properties of an object schema; empty for any other. */
export function propertiesOf(schema: TSchema): Readonly<Record<string, TSchema>> {
  return viewOf(schema).properties ?? {}
}

const numberForm = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/

/**
 * Turns text of a query or a command line into what the schema wants. Text that cannot be turned stays text:
 * validation then names the field.
 */
export function valueOfText(schema: TSchema, text: string): unknown {
  const view = viewOf(schema)
  if (view.const !== undefined) return String(view.const) === text ? view.const : text
  if (view.enum !== undefined) return view.enum.find(value => String(value) === text) ?? text
  if (view.anyOf !== undefined) return valueOfUnion(view.anyOf, text)
  switch (view.type) {
    case 'integer':
    case 'number':
      return numberForm.test(text) ? Number(text) : text
    case 'boolean':
      return text === 'true' || text === '1' ? true : text === 'false' || text === '0' ? false : text
    case 'object':
    case 'array':
      return jsonOr(text)
    default:
      return text
  }
}

/** Several texts of one name: an array's items, each turned. */
export function valueOfTexts(schema: TSchema, texts: readonly string[]): unknown {
  const { items } = viewOf(schema)
  return texts.map(text => (items === undefined ? text : valueOfText(items, text)))
}

function valueOfUnion(branches: readonly TSchema[], text: string): unknown {
  for (const branch of branches) {
    const value = valueOfText(branch, text)
    if (validatorOf(branch).Check(value)) return value
  }
  return text
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
