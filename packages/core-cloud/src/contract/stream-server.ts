import type { BusMessage } from '../bus/bus.js'
import type { Deadline } from '../kernel/deadlines.js'
import { CloudError } from '../kernel/errors.js'
import type { Logger } from '../kernel/logger.js'
import { type Operation, publicError } from './call.js'
import { type CallFacts, type CallPlace, CallScope } from './call-scope.js'
import { iteratorOf } from './cut-iterator.js'
import { errorBodyOf } from './error-body.js'
import { ItemBuffer } from './item-buffer.js'
import { ItemSource } from './item-source.js'
import type { CallSpan } from './observer.js'
import { type CallerFrame, encodeFrame, itemsFrame, type OpenFrame, readCallerFrame } from './stream-frame.js'
import type { CheckedLimits, Credit } from './stream-limits.js'
import { checkInput } from './validation.js'

export interface StreamHostOptions {
  /** Names this instance in subjects. */
  readonly instance: string
  readonly limits: CheckedLimits
  readonly place: CallPlace
  readonly logger: Logger
}

/** A call with items that begins here. */
export interface StreamOpening {
  readonly operation: Operation
  readonly facts: CallFacts
  readonly open: OpenFrame
  readonly sender: string | undefined
  readonly span: CallSpan | undefined
  /** Told once, when the stream has ended in whatever way. */
  readonly ended: (error: unknown) => void
}

/** The open streams of one served contract. */
export class StreamHost {
  readonly #options: StreamHostOptions
  readonly #streams = new Map<string, ServedStream>()
  #idle: (() => void)[] = []

  constructor(options: StreamHostOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#streams.size
  }

  /** @returns the answer of the call. @throws CloudError `core.bus.overloaded`, what the scope of a call throws. */
  open(opening: StreamOpening): Uint8Array {
    const { limits, instance, place } = this.#options
    if (this.#streams.size >= limits.maxOpen)
      throw new CloudError('core.bus.overloaded', `${opening.operation.label} has ${limits.maxOpen} streams open`)
    const id = place.ids.token(16)
    const stream = new ServedStream(opening, this.#options, () => {
      this.#streams.delete(id)
      if (this.#streams.size > 0) return
      for (const resolve of this.#idle) resolve()
      this.#idle = []
    })
    this.#streams.set(id, stream)
    return encodeFrame({ stream: id, instance, window: stream.window(), idleMs: stream.idleMs })
  }

  /** Serves a frame of a caller. @returns the answer. @throws CloudError, also for a stream that is not there. */
  frame(message: BusMessage): Promise<Uint8Array> {
    const frame = readCallerFrame(message.payload)
    const stream = this.#streams.get(frame.stream)
    // A stream of another caller is as unknown as one that is over.
    if (stream === undefined || stream.sender !== message.sender)
      throw new CloudError('core.contract.stream-lost', 'there is no such stream any more')
    return stream.frame(frame, message)
  }

  /** Resolves when no stream is open. */
  idle(): Promise<void> {
    if (this.#streams.size === 0) return Promise.resolve()
    return new Promise(resolve => this.#idle.push(resolve))
  }
}

/** The serving end of one stream: answers frames, and holds each at most a third of the idle time. */
class ServedStream {
  readonly sender: string | undefined
  readonly idleMs: number
  readonly #opening: StreamOpening
  readonly #options: StreamHostOptions
  readonly #remove: () => void
  readonly #scope: CallScope
  readonly #inbox: ItemBuffer | undefined
  readonly #source: ItemSource | undefined
  readonly #result: Promise<void> | undefined
  #outcome: { readonly error?: unknown; readonly value?: unknown } | undefined
  readonly #cut: Promise<void>
  #noteCut: () => void = () => undefined
  #error: CloudError | undefined
  #heardAt: number
  #watch: Deadline
  readonly #seq = { pull: 0, push: 0 }
  readonly #held = { pull: false, push: false }

  constructor(opening: StreamOpening, options: StreamHostOptions, remove: () => void) {
    const { operation, facts, open, span } = opening
    const { place, limits } = options
    this.#opening = opening
    this.#options = options
    this.#remove = remove
    this.sender = opening.sender
    this.idleMs = Math.min(open.idleMs, limits.idleMs)
    this.#cut = new Promise(resolve => (this.#noteCut = resolve))
    this.#scope = new CallScope(operation.label, facts, place, error => this.#over(error))
    if (span !== undefined) CallScope.traced(this.#scope, span.trace)
    this.#heardAt = place.clock.monotonic()
    this.#watch = place.deadlines.add(this.idleMs, () => this.#checkSilence())
    const { stream } = operation.method
    if (stream !== 'out') this.#inbox = new ItemBuffer(limits, () => undefined)
    const begin = (): unknown => operation.handler(open.input, this.#scope, this.#inbox)
    const within = (): unknown => (span === undefined ? begin() : span.within(begin))
    if (stream === 'in') this.#result = this.#run(within)
    else this.#source = new ItemSource(() => iteratorOf(within() as AsyncIterable<unknown>), limits)
  }

  /** What the caller may send at first. */
  window(): Credit {
    return this.#inbox?.grant() ?? { items: 0, bytes: 0 }
  }

  async frame(frame: CallerFrame, message: BusMessage): Promise<Uint8Array> {
    const { clock } = this.#options.place
    this.#heardAt = clock.monotonic()
    if (frame.op === 'cancel') {
      CallScope.cut(this.#scope, new CloudError('core.contract.cancelled', 'the caller cancelled'))
      return encodeFrame({ credit: { items: 0, bytes: 0 }, stop: true })
    }
    if (this.#held[frame.op] || frame.seq !== this.#seq[frame.op] + 1)
      throw this.#violation(`a ${frame.op} out of turn: ${frame.seq} after ${this.#seq[frame.op]}`)
    this.#seq[frame.op] = frame.seq
    this.#held[frame.op] = true
    // A caller that is gone takes its waiting frame with it.
    const gone = (): void => CallScope.cut(this.#scope, CloudError.from(message.signal?.reason))
    message.signal?.addEventListener('abort', gone)
    try {
      return frame.op === 'pull' ? await this.#pull(frame.credit) : await this.#push(frame, message.payload.length)
    } finally {
      message.signal?.removeEventListener('abort', gone)
      this.#held[frame.op] = false
      this.#heardAt = clock.monotonic()
    }
  }

  async #pull(credit: Credit): Promise<Uint8Array> {
    if (this.#source === undefined) return this.#pullResult()
    if (credit.items === 0 || credit.bytes === 0) return itemsFrame({}, [], undefined)
    const beat = this.#beat()
    const { texts, end } = await this.#source.take(credit, Promise.race([beat.passed, this.#cut]))
    beat.stop()
    if (this.#error !== undefined) throw this.#error
    if (end === undefined) return itemsFrame({}, texts, undefined)
    return itemsFrame({}, texts, this.#finish(end.error, undefined))
  }

  async #pullResult(): Promise<Uint8Array> {
    const beat = this.#beat()
    await Promise.race([this.#result, beat.passed, this.#cut])
    beat.stop()
    if (this.#error !== undefined) throw this.#error
    if (this.#outcome === undefined) return itemsFrame({}, [], undefined)
    const { error, value } = this.#outcome
    return itemsFrame({}, [], this.#finish(error, value))
  }

  async #push(frame: CallerFrame & { readonly op: 'push' }, bytes: number): Promise<Uint8Array> {
    const inbox = this.#inbox
    if (inbox === undefined) throw this.#violation('items for a stream that takes none')
    if (inbox.ended) return encodeFrame({ credit: { items: 0, bytes: 0 }, stop: true })
    try {
      const { itemInput } = this.#opening.operation.method
      for (const item of frame.items) checkInput(itemInput ?? {}, item, `${this.#opening.operation.label} item`)
      inbox.push(frame.items, bytes)
    } catch (error) {
      CallScope.cut(this.#scope, CloudError.from(error))
      throw error
    }
    if (frame.end !== undefined) {
      const { error } = frame.end
      inbox.end(error === undefined ? undefined : CloudError.fromBody(errorBodyOf(error)))
      return encodeFrame({ credit: { items: 0, bytes: 0 }, stop: true })
    }
    const beat = this.#beat()
    await Promise.race([inbox.room(), beat.passed, this.#cut])
    beat.stop()
    if (this.#error !== undefined) throw this.#error
    return encodeFrame({ credit: inbox.grant(), ...(inbox.ended ? { stop: true } : {}) })
  }

  /** The handler of a stream that goes in. */
  async #run(within: () => unknown): Promise<void> {
    try {
      this.#outcome = { value: await within() }
    } catch (error) {
      this.#outcome = { error: error ?? new Error('the handler failed') }
    }
  }

  #finish(error: unknown, output: unknown): Readonly<Record<string, unknown>> {
    const { operation } = this.#opening
    const body =
      error === undefined ? undefined : publicError(error, operation, this.#scope.traceId, this.#options.logger)
    if (CallScope.end(this.#scope)) this.#over(error)
    return body === undefined ? (output === undefined ? {} : { output }) : { error: { ...body, status: undefined } }
  }

  #violation(text: string): CloudError {
    const error = new CloudError('core.contract.flow-violation', text)
    CallScope.cut(this.#scope, error)
    return error
  }

  /** Frees everything, once. */
  #over(error: unknown): void {
    const { place } = this.#options
    if (error !== undefined) this.#error = CloudError.from(error)
    place.deadlines.remove(this.#watch)
    this.#source?.stop()
    this.#inbox?.cut(this.#error ?? new CloudError('core.contract.cancelled', 'the call is over'))
    this.#noteCut()
    this.#remove()
    this.#opening.ended(error)
  }

  #beat(): { readonly passed: Promise<void>; stop(): void } {
    const { deadlines } = this.#options.place
    let fire: () => void = () => undefined
    const passed = new Promise<void>(resolve => (fire = resolve))
    const timer = deadlines.add(this.idleMs / 3, fire)
    return { passed, stop: () => deadlines.remove(timer) }
  }

  #checkSilence(): void {
    const { clock, deadlines } = this.#options.place
    const silent = this.#held.pull || this.#held.push ? 0 : clock.monotonic() - this.#heardAt
    if (silent < this.idleMs) {
      this.#watch = deadlines.add(this.idleMs - silent, () => this.#checkSilence())
      return
    }
    const text = `the caller of ${this.#opening.operation.label} was silent for ${this.idleMs} ms`
    CallScope.cut(this.#scope, new CloudError('core.contract.stream-lost', text))
  }
}
