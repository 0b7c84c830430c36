import type { CallObserver, CallSpan, ObservedOperation, OperationObserver } from '@aaas/core-cloud/contract'
import type { Counter, Histogram, MetricFamily, MetricRegistry } from './metric-registry.js'
import { OtelOperation, OtelSpan } from './open-telemetry.js'

/** Upper bounds of the duration buckets, seconds. */
export const durationBounds: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
]

/** Codes counted apart for one method; further ones count as `other`. */
const maxCodes = 32

export interface CallTelemetryOptions {
  /** Gets `aaas_calls_total` (contract, method, surface, code) and `aaas_call_seconds` (contract, method, surface). */
  readonly registry: MetricRegistry
}

/**
 * Counts and times calls, and makes spans and metrics of `@opentelemetry/api` of them while providers are registered.
 * A call that goes well costs one bucket of a histogram; `code="ok"` is worked out when somebody looks. The surface of the
 * calling end over the bus is `bus-client`.
 */
export function callTelemetry({ registry }: CallTelemetryOptions): CallObserver {
  const labels = ['contract', 'method', 'surface']
  const calls = registry.counter({
    name: 'aaas_calls_total',
    help: 'Calls that ended, by how they ended.',
    labels: [...labels, 'code'],
  })
  const durations = registry.histogram({
    name: 'aaas_call_seconds',
    help: 'Seconds from the beginning of a call to its end.',
    labels,
    bounds: durationBounds,
    perUnit: 1_000,
  })
  const operations: OperationTelemetry[] = []
  registry.onCollect(() => {
    for (const operation of operations) operation.countOk()
  })
  return {
    operation(observed) {
      const one = new OperationTelemetry(observed, calls, durations)
      operations.push(one)
      return one
    },
  }
}

class OperationTelemetry implements OperationObserver {
  readonly #names: readonly string[]
  readonly #calls: MetricFamily<Counter>
  readonly #durations: Histogram
  readonly #otel: OtelOperation
  readonly #codes = new Map<string, Counter>()
  #ok: Counter | undefined
  #all = 0
  #failed = 0
  #counted = 0

  constructor(observed: ObservedOperation, calls: MetricFamily<Counter>, durations: MetricFamily<Histogram>) {
    const { contract, method, surface, side } = observed
    this.#names = [contract, method, side === 'client' ? `${surface}-client` : surface]
    this.#calls = calls
    this.#durations = durations.with(...this.#names)
    this.#otel = new OtelOperation(observed)
  }

  begin(parent: Parameters<OperationObserver['begin']>[0]): CallSpan | undefined {
    return this.#otel.begin(parent)
  }

  end(durationMs: number, code: string | undefined, span: CallSpan | undefined): void {
    this.#all += 1
    this.#durations.observe(durationMs)
    if (code !== undefined) this.#countFailure(code)
    this.#otel.end(durationMs, code, span instanceof OtelSpan ? span : undefined)
  }

  /** Adds the calls that went well since the last time. */
  countOk(): void {
    const ok = this.#all - this.#failed
    if (ok === 0) return
    this.#ok ??= this.#calls.with(...this.#names, 'ok')
    this.#ok.add(ok - this.#counted)
    this.#counted = ok
  }

  #countFailure(code: string): void {
    this.#failed += 1
    let counter = this.#codes.get(code)
    if (counter === undefined) {
      const name = this.#codes.size < maxCodes ? code : 'other'
      counter = this.#calls.with(...this.#names, name)
      if (name !== 'other') this.#codes.set(code, counter)
    }
    counter.add()
  }
}
