import type { ObservedOperation, TraceFacts } from '@aaas/core-cloud/contract'
import {
  type Attributes,
  type Context,
  context,
  createNoopMeter,
  createTraceState,
  type Histogram,
  metrics,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { errorCodeEntry } from '../kernel/error-codes.js'

const scope = '@aaas/core-cloud'
/** What the API uses while no provider is registered. */
const noTracers = new ProxyTracerProvider().getDelegate()
const noMeter = createNoopMeter()

/** @returns undefined while nobody registered a provider of traces. */
function registeredTracer(): Tracer | undefined {
  const provider = trace.getTracerProvider()
  const nobody = provider instanceof ProxyTracerProvider && provider.getDelegate() === noTracers
  return nobody ? undefined : provider.getTracer(scope)
}

/** A span of one call, with what it is for those below it. */
export class OtelSpan {
  readonly span: Span
  readonly trace: TraceFacts
  readonly #context: Context

  constructor(span: Span, parent: Context) {
    const { traceId, spanId, traceFlags, traceState } = span.spanContext()
    const tracestate = traceState?.serialize() ?? ''
    const traceparent = `00-${traceId}-${spanId}-${(traceFlags & 3).toString(16).padStart(2, '0')}`
    this.span = span
    this.trace = tracestate === '' ? { traceparent } : { traceparent, tracestate }
    this.#context = trace.setSpan(parent, span)
  }

  within<T>(run: () => T): T {
    return context.with(this.#context, run)
  }
}

/**
 * Spans and the duration metric of one method, after the semantic conventions for RPC (release candidate of 2026:
 * `rpc.system.name`, `rpc.method`, `error.type`, `rpc.{client,server}.call.duration` in seconds). Through the API only;
 * costs next to nothing while no provider is registered.
 */
export class OtelOperation {
  readonly #name: string
  readonly #kind: SpanKind
  readonly #remote: boolean
  readonly #isServer: boolean
  readonly #attributes: Attributes
  readonly #metric: string
  #meters: unknown
  #durations: Histogram | undefined
  readonly #failed = new Map<string, Attributes>()

  constructor({ contract, version, method, surface, side }: ObservedOperation) {
    this.#name = `${contract}/${method}`
    this.#isServer = side === 'server'
    this.#remote = this.#isServer && surface !== 'local'
    this.#kind = surface === 'local' ? SpanKind.INTERNAL : this.#isServer ? SpanKind.SERVER : SpanKind.CLIENT
    this.#attributes = { 'rpc.system.name': 'aaas', 'rpc.method': this.#name, 'aaas.contract.version': version }
    this.#metric = `rpc.${side}.call.duration`
  }

  begin(parent: TraceFacts | undefined): OtelSpan | undefined {
    const tracer = registeredTracer()
    if (tracer === undefined) return undefined
    const above = parent === undefined ? context.active() : this.#contextOf(parent)
    const span = tracer.startSpan(this.#name, { kind: this.#kind, attributes: this.#attributes }, above)
    return new OtelSpan(span, above)
  }

  end(durationMs: number, code: string | undefined, span: OtelSpan | undefined): void {
    this.#histogram()?.record(durationMs / 1_000, code === undefined ? this.#attributes : this.#failedWith(code))
    if (span === undefined) return
    if (code !== undefined) {
      span.span.setAttribute('error.type', code)
      // A server that refuses a bad call has not failed.
      const fault = !this.#isServer || (errorCodeEntry(code)?.status ?? 500) >= 500
      if (fault) span.span.setStatus({ code: SpanStatusCode.ERROR, message: code })
    }
    span.span.end()
  }

  #contextOf({ traceparent, tracestate }: TraceFacts): Context {
    // A parent in this process may be a span that is active: then its context holds more than its ids do.
    const active = trace.getSpanContext(context.active())
    const spanId = traceparent.slice(36, 52)
    if (active?.spanId === spanId) return context.active()
    return trace.setSpanContext(this.#remote ? ROOT_CONTEXT : context.active(), {
      traceId: traceparent.slice(3, 35),
      spanId,
      traceFlags: Number.parseInt(traceparent.slice(53), 16),
      isRemote: this.#remote,
      ...(tracestate === undefined ? {} : { traceState: createTraceState(tracestate) }),
    })
  }

  /** @returns undefined while nobody registered a provider of metrics. */
  #histogram(): Histogram | undefined {
    const provider = metrics.getMeterProvider()
    if (provider === this.#meters) return this.#durations
    this.#meters = provider
    const meter = provider.getMeter(scope)
    const options = { unit: 's', description: 'Duration of calls.' }
    this.#durations = meter === noMeter ? undefined : meter.createHistogram(this.#metric, options)
    return this.#durations
  }

  #failedWith(code: string): Attributes {
    let attributes = this.#failed.get(code)
    if (attributes === undefined) {
      attributes = { ...this.#attributes, 'error.type': code }
      if (this.#failed.size < 64) this.#failed.set(code, attributes)
    }
    return attributes
  }
}
