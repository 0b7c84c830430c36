import type { Endpoint } from '../balance/endpoint.js'

/** A call of a method that has no streams, or one that has: what a `Client` is made of. */
export type AnyCall = (...args: readonly unknown[]) => unknown

/** Somebody who serves a contract, and a client that reaches exactly this one. */
export interface ServiceEndpoint extends Endpoint {
  readonly client: Readonly<Record<string, AnyCall>>
}

/** Who serves a contract now. */
export interface EndpointSource extends AsyncDisposable {
  readonly endpoints: readonly ServiceEndpoint[]
  /** Rises when `endpoints` changes. */
  readonly version: number
  /**
   * Resolves when there is a list to choose from, or when looking for one found nobody.
   * @param deadline - absolute epoch milliseconds.
   */
  find(deadline: number): Promise<void>
  /** An endpoint turned out not to be there. */
  missing(id: string): void
}

/** A list that somebody gives and may replace. */
export class GivenEndpoints implements EndpointSource {
  #endpoints: readonly ServiceEndpoint[] = []
  #version = 0

  get endpoints(): readonly ServiceEndpoint[] {
    return this.#endpoints
  }

  get version(): number {
    return this.#version
  }

  replace(endpoints: readonly ServiceEndpoint[]): void {
    this.#endpoints = [...endpoints]
    this.#version += 1
  }

  async find(): Promise<void> {}

  missing(): void {}

  async [Symbol.asyncDispose](): Promise<void> {}
}
