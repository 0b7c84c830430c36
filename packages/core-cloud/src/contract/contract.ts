import type { Static, TSchema } from 'typebox'
import type { CallContext, CallOptions } from '../kernel/context.js'
import type { ErrorCode } from '../kernel/error-codes.js'

export type HttpVerb = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** One operation of a service. Schemas are TypeBox objects (JSON Schema 2020-12). */
export interface Method<I extends TSchema = TSchema, O extends TSchema = TSchema> {
  /** One sentence; becomes the OpenAPI summary and the CLI help. */
  readonly summary: string
  /** An object schema. */
  readonly input: I
  readonly output: O
  /** Codes beyond those of the call itself (invalid input, deadline, forbidden ...). */
  readonly errors?: readonly ErrorCode[]
  /** Scope the actor must hold; absent: anyone may call. */
  readonly scope?: string
  /** True when a repeat with the same input and key changes nothing more; such calls may be retried by the platform. */
  readonly idempotent?: boolean
  /** Milliseconds a call may take when the caller names no deadline; default 10_000. */
  readonly deadlineMs?: number
  /**
   * Place in the HTTP API. `:name` segments are taken from the input field of that name;
   * other fields come from the query (GET, DELETE) or the JSON body.
   */
  readonly http?: { readonly verb: HttpVerb; readonly path: string; readonly status?: 200 | 201 | 202 | 204 }
}

export type Methods = Readonly<Record<string, Method>>

/** A service, defined once: the local interface, the RPC, the HTTP API and the CLI all come from it. */
export interface Contract<M extends Methods = Methods> {
  /** `layer.system` or `layer.system-part`, such as `business.order`. */
  readonly name: string
  /** Semantic version; peers of one major understand each other. */
  readonly version: string
  readonly methods: M
  /** Payload schemas of the events the service emits, by topic such as `order.paid`. */
  readonly events?: Readonly<Record<string, TSchema>>
}

type InputOf<T extends Method> = Static<T['input']>
type OutputOf<T extends Method> = Static<T['output']>

/** What a caller holds: plain asynchronous methods, whether the service is in this process or not. */
export type Client<C extends Contract> = {
  readonly [K in keyof C['methods']]: (
    input: InputOf<C['methods'][K]>,
    options?: CallOptions,
  ) => Promise<OutputOf<C['methods'][K]>>
}

/** What a service implements. */
export type Handlers<C extends Contract> = {
  readonly [K in keyof C['methods']]: (
    input: InputOf<C['methods'][K]>,
    context: CallContext,
  ) => Promise<OutputOf<C['methods'][K]>>
}

const namePattern = /^[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)+$/
const methodPattern = /^[a-z][A-Za-z0-9]*$/

/** Checks names at definition time (a programmer mistake throws a plain Error) and keeps the literal types. */
export function defineContract<const M extends Methods>(contract: Contract<M>): Contract<M> {
  if (!namePattern.test(contract.name)) throw new Error(`contract name '${contract.name}' must look like layer.system`)
  if (!/^\d+\.\d+\.\d+$/.test(contract.version)) throw new Error(`${contract.name}: version must be x.y.z`)
  for (const name of Object.keys(contract.methods)) {
    if (!methodPattern.test(name)) throw new Error(`${contract.name}: method name '${name}' must be camelCase`)
  }
  return contract
}
