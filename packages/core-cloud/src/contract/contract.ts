import type { Static, TSchema } from 'typebox'
import type { CallContext, CallOptions } from '../kernel/context.js'
import type { ErrorCode } from '../kernel/error-codes.js'

export type HttpVerb = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** Which way items flow: to the caller, from the caller, or both ways at once. */
export type StreamKind = 'out' | 'in' | 'both'

/** One operation of a service. Schemas are TypeBox objects (JSON Schema 2020-12). */
export interface Method<
  I extends TSchema = TSchema,
  O extends TSchema = TSchema,
  II extends TSchema = TSchema,
  IO extends TSchema = TSchema,
> {
  /** One sentence; becomes the OpenAPI summary and the CLI help. */
  readonly summary: string
  /** An object schema. */
  readonly input: I
  /** What the call answers; of a method that streams out, nothing: its items are the answer. */
  readonly output: O
  /** Makes the method one with items besides its input. Not offered over HTTP. */
  readonly stream?: StreamKind
  /** Schema of one item from the caller (`in`, `both`); needed then. */
  readonly itemInput?: II
  /** Schema of one item to the caller (`out`, `both`); needed then. */
  readonly itemOutput?: IO
  /** Codes beyond those of the call itself (invalid input, deadline, forbidden ...). */
  readonly errors?: readonly ErrorCode[]
  /** Scope the actor must hold; absent: anyone may call. */
  readonly scope?: string
  /** True when a repeat with the same input and key changes nothing more; such calls may be retried by the platform. */
  readonly idempotent?: boolean
  /** Milliseconds a call may take when the caller names no deadline; default 10_000, with a stream 300_000. */
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
type ItemIn<T extends Method> = T['itemInput'] extends TSchema ? Static<T['itemInput']> : never
type ItemOut<T extends Method> = T['itemOutput'] extends TSchema ? Static<T['itemOutput']> : never

/** Items a caller gives: read only as fast as the other side takes them. */
export type Items<T> = AsyncIterable<T> | Iterable<T>

type ClientCall<T extends Method> = T extends { readonly stream: 'out' }
  ? (input: InputOf<T>, options?: CallOptions) => AsyncIterable<ItemOut<T>>
  : T extends { readonly stream: 'in' }
    ? (input: InputOf<T>, items: Items<ItemIn<T>>, options?: CallOptions) => Promise<OutputOf<T>>
    : T extends { readonly stream: 'both' }
      ? (input: InputOf<T>, items: Items<ItemIn<T>>, options?: CallOptions) => AsyncIterable<ItemOut<T>>
      : (input: InputOf<T>, options?: CallOptions) => Promise<OutputOf<T>>

type Handler<T extends Method> = T extends { readonly stream: 'out' }
  ? (input: InputOf<T>, context: CallContext) => AsyncIterable<ItemOut<T>>
  : T extends { readonly stream: 'in' }
    ? (input: InputOf<T>, context: CallContext, items: AsyncIterable<ItemIn<T>>) => Promise<OutputOf<T>>
    : T extends { readonly stream: 'both' }
      ? (input: InputOf<T>, context: CallContext, items: AsyncIterable<ItemIn<T>>) => AsyncIterable<ItemOut<T>>
      : (input: InputOf<T>, context: CallContext) => Promise<OutputOf<T>>

/**
 * What a caller holds: plain asynchronous methods, whether the service is in this process or not. A method that streams
 * out gives an iterable that can be read once: the call begins with the first read, and leaving the loop cancels it.
 */
export type Client<C extends Contract> = { readonly [K in keyof C['methods']]: ClientCall<C['methods'][K]> }

/** What a service implements. Items are read at the handler's speed: the caller waits meanwhile. */
export type Handlers<C extends Contract> = { readonly [K in keyof C['methods']]: Handler<C['methods'][K]> }

const namePattern = /^[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)+$/
const methodPattern = /^[a-z][A-Za-z0-9]*$/
const streamKinds: readonly unknown[] = [undefined, 'out', 'in', 'both']

/** Checks names at definition time (a programmer mistake throws a plain Error) and keeps the literal types. */
export function defineContract<const M extends Methods>(contract: Contract<M>): Contract<M> {
  if (!namePattern.test(contract.name)) throw new Error(`contract name '${contract.name}' must look like layer.system`)
  if (!/^\d+\.\d+\.\d+$/.test(contract.version)) throw new Error(`${contract.name}: version must be x.y.z`)
  for (const [name, method] of Object.entries(contract.methods)) {
    if (!methodPattern.test(name)) throw new Error(`${contract.name}: method name '${name}' must be camelCase`)
    checkStream(`${contract.name}.${name}`, method)
  }
  return contract
}

function checkStream(label: string, method: Method): void {
  const { stream, itemInput, itemOutput } = method
  if (!streamKinds.includes(stream)) throw new Error(`${label}: stream must be out, in or both`)
  const wantsIn = stream === 'in' || stream === 'both'
  const wantsOut = stream === 'out' || stream === 'both'
  if (wantsIn !== (itemInput !== undefined)) throw new Error(`${label}: itemInput goes with stream in or both`)
  if (wantsOut !== (itemOutput !== undefined)) throw new Error(`${label}: itemOutput goes with stream out or both`)
  if (stream !== undefined && method.http !== undefined)
    throw new Error(`${label}: a method with a stream has no place in the HTTP API`)
}
