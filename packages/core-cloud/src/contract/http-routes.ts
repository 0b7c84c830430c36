import type { CallContext } from '../kernel/context.js'
import { CloudError } from '../kernel/errors.js'
import { type Operation, operationsOf, unobserved } from './call.js'
import type { Contract, Handlers, HttpVerb } from './contract.js'
import type { CallObserver, OperationObserver } from './observer.js'

/** One contract with what serves it: its `Handlers`, typed loosely here so that a list can hold several contracts. */
export interface HttpService {
  readonly contract: Contract
  readonly handlers: Readonly<Record<string, (input: never, context: CallContext) => Promise<unknown>>>
}

/** Checks handlers against their contract and forgets the types, so that services of many contracts fit one list. */
export function httpService<C extends Contract>(contract: C, handlers: Handlers<C>): HttpService {
  return { contract, handlers: handlers as unknown as HttpService['handlers'] }
}

/** A method at its place. */
interface HttpRoute {
  readonly operation: Operation
  readonly observer: OperationObserver
  readonly status: number
  /** Names of the path's parameters in order. */
  readonly parameters: readonly string[]
  /** True when fields beyond the path come from the query. */
  readonly fromQuery: boolean
}

interface Node {
  readonly exact: Map<string, Node>
  parameter: Node | undefined
  readonly verbs: Map<string, HttpRoute>
}

export interface HttpMatch {
  readonly route: HttpRoute
  /** Values of the path's parameters, still encoded. */
  readonly values: readonly string[]
}

const emptyNode = (): Node => ({ exact: new Map(), parameter: undefined, verbs: new Map() })

/** Finds the method for a verb and path: a tree by segment; a literal segment wins over a parameter. */
export class HttpRoutes {
  readonly #root = emptyNode()
  readonly #basePath: string

  /** @throws Error when two methods claim one place: a programmer's mistake. */
  constructor(options: {
    readonly services: readonly HttpService[]
    readonly basePath: string
    readonly rpc: boolean
    readonly observer?: CallObserver | undefined
  }) {
    this.#basePath = options.basePath
    for (const { contract, handlers } of options.services) {
      for (const operation of operationsOf(contract, handlers as unknown as Handlers<Contract>).values()) {
        const { http, stream } = operation.method
        // Items do not fit one body of JSON: methods with a stream are called over the bus.
        if (stream !== undefined) continue
        const { name, version } = contract
        const seen = { contract: name, version, method: operation.name, surface: 'http', side: 'server' } as const
        const served = { operation, observer: options.observer?.operation(seen) ?? unobserved }
        if (http !== undefined) this.#add(http.verb, http.path, served, http.status ?? 200)
        if (options.rpc) this.#add('POST', `/rpc/${name}/${operation.name}`, served, 200)
      }
    }
  }

  /** @returns undefined: not a path of this API; `allow`: the verbs of the path when only the verb is wrong. */
  find(verb: string, path: string): HttpMatch | { readonly allow: readonly string[] } | undefined {
    if (!path.startsWith(this.#basePath)) return undefined
    const rest = path.slice(this.#basePath.length)
    if (!rest.startsWith('/')) return undefined
    const values: string[] = []
    const node = search(this.#root, rest.split('/'), 1, values)
    if (node === undefined) return undefined
    const route = node.verbs.get(verb)
    return route === undefined ? { allow: [...node.verbs.keys()] } : { route, values }
  }

  #add(verb: HttpVerb, path: string, served: Pick<HttpRoute, 'operation' | 'observer'>, status: number): void {
    const parameters: string[] = []
    let node = this.#root
    for (const segment of path.split('/').slice(1)) {
      if (segment.startsWith(':')) {
        parameters.push(segment.slice(1))
        node = node.parameter ??= emptyNode()
      } else {
        let next = node.exact.get(segment)
        if (next === undefined) {
          next = emptyNode()
          node.exact.set(segment, next)
        }
        node = next
      }
    }
    const taken = node.verbs.get(verb)
    if (taken !== undefined)
      throw new Error(`${verb} ${path} is claimed by ${taken.operation.label} and ${served.operation.label}`)
    node.verbs.set(verb, { ...served, status, parameters, fromQuery: verb === 'GET' || verb === 'DELETE' })
  }
}

/** @param values - receives the parameters' values on the way down. */
function search(node: Node, segments: readonly string[], depth: number, values: string[]): Node | undefined {
  const segment = segments[depth]
  if (segment === undefined) return node.verbs.size > 0 ? node : undefined
  const exact = node.exact.get(segment)
  const found = exact === undefined ? undefined : search(exact, segments, depth + 1, values)
  if (found !== undefined || node.parameter === undefined || segment === '') return found
  values.push(segment)
  const below = search(node.parameter, segments, depth + 1, values)
  if (below === undefined) values.pop()
  return below
}

/** @throws CloudError `core.contract.invalid-input` for broken percent signs. */
export function decodeSegment(text: string, name: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    throw new CloudError('core.contract.invalid-input', `${name} in the path is not encoded correctly`, {
      field: name,
      cause,
    })
  }
}
