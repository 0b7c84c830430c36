import { isUtf8 } from 'node:buffer'
import { CloudError } from '../kernel/errors.js'
import type { HttpMatch } from './http-routes.js'
import { decodeSegment } from './http-routes.js'
import { propertiesOf, valueOfText, valueOfTexts, viewOf } from './text-values.js'

type Fields = Record<string, unknown>

/** What the input is made of. */
export interface HttpInputParts {
  readonly query: URLSearchParams | undefined
  readonly contentType: string | undefined
  readonly body: Uint8Array
}

/**
 * Puts the input of a method together from path, query and body.
 * @throws CloudError `core.contract.invalid-input` naming the field, `core.contract.unsupported-media-type`.
 */
export function readHttpInput(match: HttpMatch, parts: HttpInputParts): unknown {
  const { route, values } = match
  const input = route.fromQuery ? fromQuery(match, parts.query) : fromBody(parts)
  if (route.parameters.length === 0) return input
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return input
  const fields = input as Fields
  const properties = propertiesOf(route.operation.method.input)
  route.parameters.forEach((name, index) => {
    const text = decodeSegment(values[index] ?? '', name)
    const schema = properties[name]
    const value = schema === undefined ? text : valueOfText(schema, text)
    if (Object.hasOwn(fields, name) && fields[name] !== value) {
      throw new CloudError('core.contract.invalid-input', `${name} differs from the one in the path`, { field: name })
    }
    fields[name] = value
  })
  return fields
}

function fromQuery({ route }: HttpMatch, query: URLSearchParams | undefined): Fields {
  const fields: Fields = {}
  if (query === undefined || query.size === 0) return fields
  const properties = propertiesOf(route.operation.method.input)
  for (const name of new Set(query.keys())) {
    const texts = query.getAll(name)
    const schema = Object.hasOwn(properties, name) ? properties[name] : undefined
    if (schema !== undefined && viewOf(schema).type === 'array') set(fields, name, valueOfTexts(schema, texts))
    else if (texts.length > 1) {
      throw new CloudError('core.contract.invalid-input', `${name} is given ${texts.length} times`, { field: name })
    } else set(fields, name, schema === undefined ? texts[0] : valueOfText(schema, texts[0] ?? ''))
  }
  return fields
}

/** Assigns without meeting a setter of the prototype such as `__proto__`. */
function set(fields: Fields, name: string, value: unknown): void {
  Object.defineProperty(fields, name, { value, enumerable: true, configurable: true, writable: true })
}

const jsonType = /^application\/([a-z0-9.+-]+\+)?json\s*(;\s*charset="?utf-8"?\s*)?$/i

function fromBody({ body, contentType }: HttpInputParts): unknown {
  if (body.length === 0) return {}
  if (contentType === undefined || !jsonType.test(contentType)) {
    throw new CloudError('core.contract.unsupported-media-type', 'the body must be application/json in UTF-8', {
      field: 'content-type',
    })
  }
  if (!isUtf8(body)) throw new CloudError('core.contract.invalid-input', 'the body is not UTF-8', { field: '' })
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'wrong syntax'
    throw new CloudError('core.contract.invalid-input', `the body is not JSON: ${reason.slice(0, 120)}`, {
      field: '',
      cause,
    })
  }
}
