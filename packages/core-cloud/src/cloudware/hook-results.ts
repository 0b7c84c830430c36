import { Type } from 'typebox'
import type { Verdict, View } from './cloudware.js'
import type { Hook } from './hooks.js'
import { firstFault, validatorOf } from './schema-check.js'

const text = Type.String({ maxLength: 1_000 })

const verdictSchema = Type.Union([
  Type.Object({ ok: Type.Literal(true) }),
  Type.Object({
    ok: Type.Literal(false),
    message: Type.String({ minLength: 1, maxLength: 500 }),
    field: Type.Optional(Type.String({ maxLength: 100 })),
  }),
])

const viewSchema = Type.Object({
  title: Type.String({ minLength: 1, maxLength: 100 }),
  blocks: Type.Array(
    Type.Union([
      Type.Object({ type: Type.Literal('heading'), text }),
      Type.Object({ type: Type.Literal('text'), text }),
      Type.Object({ type: Type.Literal('metric'), label: text, value: text }),
      Type.Object({
        type: Type.Literal('table'),
        columns: Type.Array(text, { minItems: 1, maxItems: 12 }),
        rows: Type.Array(Type.Array(text, { maxItems: 12 }), { maxItems: 200 }),
      }),
      Type.Object({
        type: Type.Literal('notice'),
        tone: Type.Union([Type.Literal('info'), Type.Literal('good'), Type.Literal('warn')]),
        text,
      }),
    ]),
    { maxItems: 50 },
  ),
})

/** @throws Error when the value is not a verdict. */
export function asVerdict(value: unknown): Verdict {
  return parse(verdictSchema, value, 'a verdict') as Verdict
}

/** @throws Error when the value is not a view within its limits. */
export function asView(value: unknown): View {
  return parse(viewSchema, value, 'a view') as View
}

/** @throws Error when the value does not fit the hook's output schema. */
export function asOutput(hook: Hook, value: unknown): unknown {
  return hook.output === undefined ? value : parse(hook.output, value, `an output of ${hook.name}`)
}

function parse(schema: Parameters<typeof validatorOf>[0], value: unknown, what: string): unknown {
  const validator = validatorOf(schema)
  if (validator.Check(value)) return value
  const { field, message } = firstFault(validator.Errors(value))
  throw new Error(`answered what is not ${what}: ${field === '' ? 'it' : field} ${message}`)
}
