import type { TSchema } from 'typebox'
import { CloudError } from '../kernel/errors.js'
import type { Contract } from './contract.js'
import { propertiesOf, valueOfText, valueOfTexts, viewOf } from './text-values.js'
import { flawOf, validatorOf } from './validation.js'

export type OptionType = 'string' | 'integer' | 'number' | 'boolean' | 'json'

/** One flag of a command. */
export interface CommandOption {
  /** Field of the input. */
  readonly field: string
  /** With its dashes, such as `--max-items`. */
  readonly flag: string
  readonly type: OptionType
  readonly required: boolean
  /** True when it may be given several times. */
  readonly multiple: boolean
  /** The schema's description, allowed values and default. */
  readonly help: string
}

/** What was typed: by flag name without dashes, or by field name. */
export type CommandValues = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>

/** A method as a verb of a command line. */
export interface Command {
  /** Kebab-case, such as `set-price`. */
  readonly name: string
  readonly method: string
  readonly summary: string
  readonly options: readonly CommandOption[]
  /** @throws CloudError `core.contract.invalid-input` whose message and `field` name the flag. */
  parse(values: CommandValues): Readonly<Record<string, unknown>>
}

/** The verbs of a contract, in the order of its methods. */
export function commandsOf(contract: Contract): readonly Command[] {
  return Object.entries(contract.methods).map(([method, { summary, input }]) => {
    const options = optionsOf(input)
    return { name: kebab(method), method, summary, options, parse: values => parse(input, options, values) }
  })
}

function optionsOf(input: TSchema): readonly CommandOption[] {
  const required = new Set(viewOf(input).required ?? [])
  return Object.entries(propertiesOf(input)).map(([field, schema]) => ({
    field,
    flag: `--${kebab(field)}`,
    type: typeOf(schema),
    required: required.has(field),
    multiple: isList(schema),
    help: helpOf(schema),
  }))
}

/** Lists of plain values are given by repeating the flag; lists of objects as JSON. */
function isList(schema: TSchema): boolean {
  const { type, items } = viewOf(schema)
  return type === 'array' && items !== undefined && typeOf(items) !== 'json'
}

function typeOf(schema: TSchema): OptionType {
  const { type, items, anyOf } = viewOf(schema)
  if (type === 'array' && items !== undefined) {
    const inner = typeOf(items)
    return viewOf(items).type === 'array' ? 'json' : inner
  }
  if (type === 'string' || type === 'integer' || type === 'number' || type === 'boolean') return type
  if (anyOf !== undefined) {
    const kinds = new Set(anyOf.map(typeOf))
    return kinds.size === 1 ? ([...kinds][0] as OptionType) : kinds.has('json') ? 'json' : 'string'
  }
  const { const: constant, enum: values } = viewOf(schema)
  return constant !== undefined || values !== undefined ? 'string' : 'json'
}

function helpOf(schema: TSchema): string {
  const view = viewOf(schema)
  const values = view.enum ?? view.anyOf?.map(branch => viewOf(branch).const).filter(value => value !== undefined)
  return [
    ...(view.description === undefined ? [] : [view.description]),
    ...(values === undefined || values.length === 0 ? [] : [`one of ${values.join(', ')}`]),
    ...(view.default === undefined ? [] : [`default ${JSON.stringify(view.default)}`]),
  ].join('; ')
}

function parse(
  input: TSchema,
  options: readonly CommandOption[],
  values: CommandValues,
): Readonly<Record<string, unknown>> {
  const properties = propertiesOf(input)
  const fields: Record<string, unknown> = {}
  const known = new Set<string>()
  for (const option of options) {
    const name = option.flag.slice(2)
    known.add(name).add(option.field)
    const given = values[name] ?? values[option.field]
    if (given !== undefined) fields[option.field] = read(option, properties[option.field] as TSchema, given)
  }
  const strange = Object.keys(values).find(name => values[name] !== undefined && !known.has(name))
  if (strange !== undefined) throw wrong(`--${kebab(strange)}`, 'is not known')
  if (validatorOf(input).Check(fields)) return fields
  const { field, reason } = flawOf(input, fields)
  const [top = '', ...rest] = field.split('/')
  const flag = options.find(option => option.field === top)?.flag ?? top
  throw wrong(rest.length === 0 ? flag : `${flag} (${rest.join('/')})`, reason, flag)
}

function read(option: CommandOption, schema: TSchema, given: NonNullable<CommandValues[string]>): unknown {
  if (typeof given === 'object') {
    if (option.multiple) return valueOfTexts(schema, given.map(String))
    if (given.length !== 1) throw wrong(option.flag, `is given ${given.length} times`)
    return read(option, schema, given[0] as string | boolean)
  }
  if (typeof given === 'boolean') {
    if (option.type === 'boolean') return given
    throw wrong(option.flag, 'needs a value')
  }
  return option.multiple ? valueOfTexts(schema, [given]) : valueOfText(schema, given)
}

function wrong(flag: string, reason: string, field = flag): CloudError {
  return new CloudError('core.contract.invalid-input', `${flag} ${reason}`, { field })
}

/** `setPrice` to `set-price`. */
function kebab(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .replaceAll('_', '-')
    .toLowerCase()
}
