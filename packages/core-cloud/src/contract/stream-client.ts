import type { BusMessage } from '../bus/bus.js'
import { CloudError, type ErrorBody } from '../kernel/errors.js'
import { type CallFacts, type CallPlace, CallScope } from './call-scope.js'
import type { Items, StreamKind } from './contract.js'
import { CutIterator, iteratorOf } from './cut-iterator.js'
import { errorBodyOf } from './error-body.js'
import { ItemBuffer } from './item-buffer.js'
import { ItemSource } from './item-source.js'
import {
  type CallerFrame,
  encodeFrame,
  itemsFrame,
  type OpenedFrame,
  readOpened,
  readPulled,
  readPushed,
} from './stream-frame.js'
import type { CheckedLimits, Credit } from './stream-limits.js'

/** How the frames of one stream travel. Errors of the other side are thrown. */
interface StreamWire {
  /** Sends the call itself. */
  open(payload: Uint8Array, signal: AbortSignal): Promise<BusMessage>
  /** Sends a frame to the instance that has the stream. `deadline` is absolute epoch milliseconds. */
  frame(instance: string, payload: Uint8Array, deadline: number, signal?: AbortSignal): Promise<BusMessage>
}

export interface StreamCallOptions {
  readonly label: string
  readonly kind: StreamKind
  readonly facts: CallFacts
  readonly place: CallPlace
  readonly limits: CheckedLimits
  /** Makes the wire; asked when the call begins. */
  readonly wire: () => StreamWire
  /** Told once, when the stream has ended. */
  readonly ended: (error: unknown) => void
}

const nothing: Credit = { items: 0, bytes: 0 }
/** Milliseconds the other side gets to hear that a stream is cancelled. */
const cancelWaitMs = 5_000

/** The calling end of a stream over a bus. @returns what the client's method gives. */
export function callStream(
  options: StreamCallOptions,
  input: unknown,
  items: Items<unknown> | undefined,
): AsyncIterable<unknown> | Promise<unknown> {
  if (options.kind === 'in') {
    return new Promise((resolve, reject) => {
      const call = new StreamCall(options, items, reject)
      void call.run(input).then(output => resolve(output), reject)
    })
  }
  let call: StreamCall | undefined
  const reader: CutIterator = new CutIterator({
    open: () => {
      call = new StreamCall(options, items, () => undefined)
      call.run(input).catch(() => undefined)
      return call.buffer
    },
    // Leaving reaches the buffer, and by it the call.
    onEnd: () => undefined,
  })
  return reader
}

class StreamCall {
  readonly buffer: ItemBuffer
  readonly #options: StreamCallOptions
  readonly #wire: StreamWire
  readonly #scope: CallScope
  readonly #source: ItemSource | undefined
  readonly #fail: (error: CloudError) => void
  #opened: OpenedFrame | undefined
  #serverOver = false
  readonly #seq = { pull: 0, push: 0 }

  /** @throws CloudError when the call is late or cancelled before it begins. */
  constructor(options: StreamCallOptions, items: Items<unknown> | undefined, fail: (error: CloudError) => void) {
    const { label, facts, place, limits } = options
    this.#options = options
    this.#fail = fail
    this.buffer = new ItemBuffer(limits, () =>
      CallScope.cut(this.#scope, new CloudError('core.contract.cancelled', `nobody reads ${label}`)),
    )
    if (items !== undefined) this.#source = new ItemSource(() => iteratorOf(items), limits)
    try {
      this.#scope = new CallScope(label, facts, place, error => this.#cut(error))
    } catch (error) {
      options.ended(error)
      throw error
    }
    this.#wire = options.wire()
  }

  /** Resolves with the output of a stream that goes in; of others, when all items have come. */
  async run(input: unknown): Promise<unknown> {
    const { label, limits } = this.#options
    try {
      const payload = encodeFrame({ input, idleMs: limits.idleMs })
      const opening = this.#wire.open(payload, this.#scope.signal)
      this.#opened = readOpened((await opening).payload, label)
      if (CallScope.over(this.#scope)) {
        this.#tellCancelled('core.contract.cancelled')
        return undefined
      }
      // Not waited for: when the handler has its answer, nobody wants the rest of the items.
      void this.#pushAll(this.#opened).catch(error => this.#failed(error))
      const output = await this.#pullAll(this.#opened)
      this.#serverOver = true
      this.#finish()
      return output
    } catch (error) {
      throw this.#failed(error)
    }
  }

  async #pullAll(opened: OpenedFrame): Promise<unknown> {
    const { kind, label } = this.#options
    for (;;) {
      if (kind !== 'in') await this.#beside(this.buffer.room())
      const credit = kind === 'in' ? nothing : this.buffer.grant()
      const answer = await this.#send(opened, { op: 'pull', stream: opened.stream, seq: ++this.#seq.pull, credit })
      const { items, end } = readPulled(answer.payload, label)
      if (kind !== 'in') this.buffer.push(items, answer.payload.length)
      if (end === undefined) continue
      const error = end.error === undefined ? undefined : CloudError.fromBody(errorBodyOf(end.error))
      if (error !== undefined && kind === 'in') throw error
      if (error !== undefined) this.#endWith(error)
      return end.output
    }
  }

  async #pushAll(opened: OpenedFrame): Promise<void> {
    if (this.#source === undefined) return
    let credit = opened.window
    while (!CallScope.over(this.#scope)) {
      const beat = this.#beat()
      const { texts, end } = await this.#source.take(credit, beat.passed)
      beat.stop()
      if (CallScope.over(this.#scope)) return
      const head = { op: 'push', stream: opened.stream, seq: ++this.#seq.push }
      const error = end?.error === undefined ? undefined : { error: shownToServer(end.error) }
      const payload = itemsFrame(head, texts, end === undefined ? undefined : (error ?? {}))
      const answer = readPushed((await this.#sendBytes(opened, payload)).payload, this.#options.label)
      if (end !== undefined || answer.stop === true) break
      credit = answer.credit
    }
    this.#source.stop()
  }

  #send(opened: OpenedFrame, frame: CallerFrame): Promise<BusMessage> {
    return this.#sendBytes(opened, encodeFrame(frame))
  }

  async #sendBytes({ instance, idleMs }: OpenedFrame, payload: Uint8Array): Promise<BusMessage> {
    const { label, facts, place } = this.#options
    const deadline = Math.min(facts.deadline, place.clock.now() + idleMs)
    try {
      return await this.#wire.frame(instance, payload, deadline, this.#scope.signal)
    } catch (error) {
      const silent =
        CloudError.is(error, 'core.bus.no-responder') ||
        CloudError.is(error, 'core.contract.deadline-exceeded') ||
        CloudError.is(error, 'core.bus.disconnected')
      if (!silent || place.clock.now() >= facts.deadline) throw error
      this.#serverOver = true
      throw new CloudError('core.contract.stream-lost', `the instance that serves ${label} is gone`, { cause: error })
    }
  }

  /** Waits for something, but not longer than the other side may go without a word. */
  async #beside(wanted: Promise<void>): Promise<void> {
    const beat = this.#beat()
    await Promise.race([wanted, beat.passed])
    beat.stop()
  }

  #beat(): { readonly passed: Promise<void>; stop(): void } {
    const { deadlines } = this.#options.place
    let fire: () => void = () => undefined
    const passed = new Promise<void>(resolve => (fire = resolve))
    const timer = deadlines.add((this.#opened?.idleMs ?? this.#options.limits.idleMs) / 3, fire)
    return { passed, stop: () => deadlines.remove(timer) }
  }

  /** The handler failed: its error comes behind its items. */
  #endWith(error: CloudError): void {
    this.#serverOver = true
    if (!CallScope.end(this.#scope)) return
    this.buffer.end(error)
    this.#source?.stop()
    this.#options.ended(error)
  }

  #finish(): void {
    if (!CallScope.end(this.#scope)) return
    this.buffer.end()
    this.#source?.stop()
    this.#options.ended(undefined)
  }

  /** Something went wrong on this side or the way. @returns what the caller gets. */
  #failed(error: unknown): CloudError {
    const shown = CloudError.from(error)
    CallScope.cut(this.#scope, shown)
    return shown
  }

  /** The scope was cut: by the deadline, the caller, or a failure. */
  #cut(error: CloudError): void {
    this.buffer.cut(error)
    this.#source?.stop()
    this.#tellCancelled(error.code)
    this.#options.ended(error)
    this.#fail(error)
  }

  #tellCancelled(code: string): void {
    const opened = this.#opened
    if (opened === undefined || this.#serverOver) return
    this.#serverOver = true
    const payload = encodeFrame({ op: 'cancel', stream: opened.stream, code })
    const deadline = this.#options.place.clock.now() + cancelWaitMs
    // The other side would find out by itself, only later.
    this.#wire.frame(opened.instance, payload, deadline).catch(() => undefined)
  }
}

function shownToServer(error: unknown): ErrorBody {
  if (CloudError.is(error)) return error.toJSON()
  return { code: 'core.kernel.internal', message: 'the items of the caller failed', retryable: false }
}
