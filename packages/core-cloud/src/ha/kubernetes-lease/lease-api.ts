import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { LeaseObject, StatusObject } from './lease-object.js'

/** The part of the platform's `fetch` that is needed. */
export type LeaseFetch = (
  url: string,
  init: {
    readonly method: 'GET' | 'POST' | 'PUT'
    readonly headers: Record<string, string>
    readonly body?: string
    readonly signal: AbortSignal
  },
) => Promise<{ readonly status: number; text(): Promise<string> }>

export interface LeaseApiOptions {
  /** Such as `https://kubernetes.default.svc`; without a trailing slash. */
  readonly server: string
  readonly namespace: string
  /** Asked before each call: a service account's token is replaced every hour. */
  readonly token?: () => string | Promise<string>
  readonly fetch: LeaseFetch
  readonly clock: Clock
  readonly callMs: number
}

/** Reads and writes Lease objects. */
export class LeaseApi {
  readonly #options: LeaseApiOptions
  readonly #place: string

  constructor(options: LeaseApiOptions) {
    this.#options = options
    this.#place = `${options.server}/apis/coordination.k8s.io/v1/namespaces/${options.namespace}/leases`
  }

  get namespace(): string {
    return this.#options.namespace
  }

  /** @returns undefined when there is none. */
  async read(name: string): Promise<LeaseObject | undefined> {
    const { status, body } = await this.#call('GET', `/${name}`)
    if (status === 404) return undefined
    if (status === 200) return body as LeaseObject
    throw refusal(status, body, 'core.ha.unavailable')
  }

  /** @returns undefined when somebody else was first. */
  create(lease: LeaseObject): Promise<LeaseObject | undefined> {
    return this.#write('POST', '', lease)
  }

  /** @returns undefined when it is not of the `resourceVersion` any more. */
  replace(lease: LeaseObject): Promise<LeaseObject | undefined> {
    return this.#write('PUT', `/${lease.metadata.name}`, lease)
  }

  async #write(method: 'POST' | 'PUT', path: string, lease: LeaseObject): Promise<LeaseObject | undefined> {
    const { status, body } = await this.#call(method, path, lease)
    if (status === 200 || status === 201) return body as LeaseObject
    if (status === 409 || status === 404) return undefined
    throw refusal(status, body, 'core.ha.outcome-unknown')
  }

  async #call(
    method: 'GET' | 'POST' | 'PUT',
    path: string,
    lease?: LeaseObject,
  ): Promise<{ readonly status: number; readonly body: unknown }> {
    const { fetch, clock, callMs, token } = this.#options
    const controller = new AbortController()
    const cancel = clock.after(callMs, () => controller.abort(new Error(`no answer within ${callMs} ms`)))
    try {
      const bearer = await token?.()
      const answer = await fetch(`${this.#place}${path}`, {
        method,
        headers: {
          accept: 'application/json',
          ...(lease === undefined ? {} : { 'content-type': 'application/json' }),
          ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
        },
        ...(lease === undefined ? {} : { body: JSON.stringify(lease) }),
        signal: controller.signal,
      })
      return { status: answer.status, body: parsed(await answer.text()) }
    } catch (cause) {
      const code = method === 'GET' ? 'core.ha.unavailable' : 'core.ha.outcome-unknown'
      throw new CloudError(code, 'the Kubernetes API server did not answer', { cause })
    } finally {
      cancel()
    }
  }
}

function refusal(status: number, body: unknown, otherwise: CloudError['code']): CloudError {
  const { message, reason } = (typeof body === 'object' && body !== null ? body : {}) as Partial<StatusObject>
  const text = `the Kubernetes API server answered ${status} ${reason ?? ''}: ${message ?? ''}`.slice(0, 500)
  if (status === 401) return new CloudError('core.contract.unauthenticated', text)
  if (status === 403) return new CloudError('core.contract.forbidden', text)
  if (status === 429) return new CloudError('core.ha.unavailable', text)
  return status >= 500 ? new CloudError(otherwise, text) : new CloudError('core.kernel.internal', text)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
