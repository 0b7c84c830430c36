import type { TSchema } from 'typebox'
import { type ErrorCode, errorCodeEntry } from '../kernel/error-codes.js'
import type { Contract, Method } from './contract.js'
import { propertiesOf, viewOf } from './text-values.js'

/** A JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }
type JsonObject = Readonly<Record<string, Json>>

export interface OpenApiOptions {
  readonly title: string
  readonly version: string
  readonly description?: string
  /** Base URLs, the API's base path included. */
  readonly servers: readonly { readonly url: string; readonly description?: string }[]
  readonly contracts: readonly Contract[]
  /** Default: `bearer`, a token in `Authorization`. The first one is required by methods with a scope. */
  readonly securitySchemes?: Readonly<Record<string, JsonObject>>
}

/** Errors any call may end with. */
const everyCall: readonly ErrorCode[] = [
  'core.contract.invalid-input',
  'core.contract.payload-too-large',
  'core.contract.deadline-exceeded',
  'core.kernel.internal',
]

const errorSchema: JsonObject = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message', 'retryable', 'traceId'],
      properties: {
        code: { type: 'string', description: 'Stable; match on this.' },
        message: { type: 'string', description: 'For people; may change.' },
        retryable: { type: 'boolean', description: 'True when the same call may succeed later.' },
        field: { type: 'string', description: 'Path of the wrong value, such as lines/0/quantity.' },
        details: { type: 'object' },
        traceId: { type: 'string' },
      },
    },
  },
}

/**
 * The OpenAPI 3.1 document of the methods that have a place in the HTTP API.
 * @throws Error when two methods claim one place.
 */
export function openApiDocument(options: OpenApiOptions): JsonObject {
  const schemes = options.securitySchemes ?? { bearer: { type: 'http', scheme: 'bearer' } }
  const scheme = Object.keys(schemes)[0] ?? 'bearer'
  const paths: Record<string, Record<string, Json>> = {}
  for (const contract of options.contracts) {
    for (const [name, method] of Object.entries(contract.methods)) {
      if (method.http === undefined) continue
      const path = method.http.path.replace(/:([A-Za-z0-9_]+)/g, '{$1}')
      const verb = method.http.verb.toLowerCase()
      const place = (paths[path] ??= {})
      if (place[verb] !== undefined) throw new Error(`${method.http.verb} ${path} is claimed twice`)
      place[verb] = operationOf(contract, name, method, scheme)
    }
  }
  return {
    openapi: '3.1.0',
    jsonSchemaDialect: 'https://json-schema.org/draft/2020-12/schema',
    info: { title: options.title, version: options.version, ...optional('description', options.description) },
    servers: options.servers.map(({ url, description }) => ({ url, ...optional('description', description) })),
    tags: options.contracts.filter(hasPlace).map(({ name }) => ({ name })),
    paths,
    ...notOffered(options.contracts),
    components: { schemas: { Error: errorSchema }, securitySchemes: schemes },
  }
}

function hasPlace(contract: Contract): boolean {
  return Object.values(contract.methods).some(method => method.http !== undefined)
}

/** Methods with a stream are called over the bus: a reader of the document should not look for them in vain. */
function notOffered(contracts: readonly Contract[]): JsonObject {
  const names = contracts.flatMap(({ name, methods }) =>
    Object.entries(methods).flatMap(([method, { stream }]) => (stream === undefined ? [] : [`${name}.${method}`])),
  )
  return names.length === 0 ? {} : { 'x-not-offered-over-http': names }
}

function operationOf(contract: Contract, name: string, method: Method, scheme: string): JsonObject {
  const { verb, path } = method.http as NonNullable<Method['http']>
  const inPath = [...path.matchAll(/:([A-Za-z0-9_]+)/g)].map(([, parameter]) => parameter as string)
  const properties = propertiesOf(method.input)
  const required = new Set(viewOf(method.input).required ?? [])
  const others = Object.keys(properties).filter(field => !inPath.includes(field))
  const fromQuery = verb === 'GET' || verb === 'DELETE'
  const parameters: Json[] = inPath.map(field => parameterOf('path', field, properties[field] ?? {}, true))
  if (fromQuery)
    for (const field of others)
      parameters.push(parameterOf('query', field, properties[field] ?? {}, required.has(field)))
  if (method.idempotent === true && !fromQuery) parameters.push(idempotencyKey)
  return {
    operationId: `${contract.name}.${name}`,
    tags: [contract.name],
    summary: method.summary,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(fromQuery || others.length === 0 ? {} : { requestBody: bodyOf(method.input, inPath) }),
    responses: responsesOf(method),
    security: method.scope === undefined ? [{}, { [scheme]: [] }] : [{ [scheme]: [method.scope] }],
    ...(method.scope === undefined ? {} : { 'x-scope': method.scope }),
  }
}

const idempotencyKey: JsonObject = {
  name: 'Idempotency-Key',
  in: 'header',
  description: 'A repeat with the same key and body changes nothing more.',
  schema: { type: 'string', minLength: 1, maxLength: 255 },
}

function parameterOf(place: 'path' | 'query', name: string, schema: TSchema, required: boolean): JsonObject {
  const { description } = viewOf(schema)
  return {
    name,
    in: place,
    ...optional('description', description),
    ...(required ? { required } : {}),
    schema: plain(schema),
  }
}

/** The input without what the path already says. */
function bodyOf(input: TSchema, inPath: readonly string[]): JsonObject {
  const whole = plain(input) as Record<string, Json>
  const properties = Object.fromEntries(
    Object.entries((whole.properties ?? {}) as JsonObject).filter(([name]) => !inPath.includes(name)),
  )
  const required = ((whole.required ?? []) as readonly string[]).filter(name => !inPath.includes(name))
  const { required: _, ...rest } = whole
  const schema = { ...rest, properties, ...(required.length === 0 ? {} : { required }) }
  return { required: required.length > 0, content: { 'application/json': { schema } } }
}

function responsesOf(method: Method): JsonObject {
  const status = method.http?.status ?? 200
  const responses: Record<string, Json> = {
    [status]:
      status === 204
        ? { description: 'Done.' }
        : { description: 'Done.', content: { 'application/json': { schema: plain(method.output) } } },
  }
  const scoped: readonly ErrorCode[] =
    method.scope === undefined ? [] : ['core.contract.unauthenticated', 'core.contract.forbidden']
  const byStatus = new Map<number, ErrorCode[]>()
  for (const code of new Set([...everyCall, ...scoped, ...(method.errors ?? [])])) {
    const codeStatus = errorCodeEntry(code)?.status ?? 500
    byStatus.set(codeStatus, [...(byStatus.get(codeStatus) ?? []), code])
  }
  for (const [errorStatus, codes] of [...byStatus].sort(([a], [b]) => a - b)) {
    responses[errorStatus] = {
      description: codes.map(code => `\`${code}\`: ${errorCodeEntry(code)?.text ?? ''}`).join('\n\n'),
      content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
      'x-error-codes': codes,
    }
  }
  return responses
}

/** The schema as JSON: the library's own marks are not enumerable and vanish. */
function plain(schema: TSchema): Json {
  return JSON.parse(JSON.stringify(schema)) as Json
}

function optional(key: string, value: string | undefined): JsonObject {
  return value === undefined ? {} : { [key]: value }
}
