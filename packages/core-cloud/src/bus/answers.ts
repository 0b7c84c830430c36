import type { Deadline, Deadlines } from '../kernel/deadlines.js'
import { CloudError } from '../kernel/errors.js'
import type { BusMessage, RequestManyOptions } from './bus.js'

/** Answers of one request that wait to be read; further ones are lost. */
const maxWaitingAnswers = 1_024
const defaultMaxAnswers = 1_024

type Reader = {
  readonly resolve: (result: IteratorResult<BusMessage, undefined>) => void
  readonly reject: (error: CloudError) => void
}

/** The answers of one request to many, as they come. Can be read once, by one reader or several. */
export class Answers implements AsyncIterableIterator<BusMessage, undefined> {
  readonly #deadlines: Deadlines
  readonly #max: number
  readonly #quietMs: number | undefined
  #cancel: () => void = () => undefined
  #waiting: BusMessage[] = []
  #readers: Reader[] = []
  #count = 0
  #quiet: Deadline | undefined
  #over = false
  #error: CloudError | undefined

  constructor(deadlines: Deadlines, options: Pick<RequestManyOptions, 'max' | 'quietMs'>) {
    this.#deadlines = deadlines
    this.#max = options.max ?? defaultMaxAnswers
    this.#quietMs = options.quietMs
    for (const field of ['max', 'quietMs'] as const) {
      const value = options[field]
      if (value === undefined || (value >= 1 && value <= 2 ** 31 - 1)) continue
      throw new CloudError('core.kernel.invalid-config', `${field} of a request is 1 to 2147483647`, { field })
    }
  }

  /** The request is on its way; `cancel` takes it back. */
  begin(cancel: () => void): void {
    this.#cancel = cancel
    this.#awaitNext()
  }

  readonly push = (message: BusMessage): void => {
    if (this.#over) return
    const reader = this.#readers.shift()
    if (reader !== undefined) reader.resolve({ done: false, value: message })
    else if (this.#waiting.length < maxWaitingAnswers) this.#waiting.push(message)
    this.#count += 1
    if (this.#count >= this.#max) this.#stop()
    else this.#awaitNext()
  }

  readonly end = (): void => {
    if (this.#over) return
    this.#over = true
    if (this.#quiet !== undefined) this.#deadlines.remove(this.#quiet)
    for (const { resolve, reject } of this.#readers) {
      if (this.#error === undefined) resolve({ done: true, value: undefined })
      else reject(this.#error)
    }
    this.#readers = []
  }

  readonly fail = (error: CloudError): void => {
    // That nobody serves the subject, or that the time is over, is an ordinary end here.
    const ordinary = error.code === 'core.contract.deadline-exceeded' || error.code === 'core.bus.no-responder'
    if (!this.#over && !ordinary) this.#error = error
    this.end()
  }

  next(): Promise<IteratorResult<BusMessage, undefined>> {
    const value = this.#waiting.shift()
    if (value !== undefined) return Promise.resolve({ done: false, value })
    if (!this.#over) return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }))
    const error = this.#error
    this.#error = undefined
    return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error)
  }

  /** The reader wants no more. */
  return(): Promise<IteratorResult<BusMessage, undefined>> {
    this.#waiting = []
    this.#stop()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #stop(): void {
    if (this.#over) return
    this.end()
    this.#cancel()
  }

  #awaitNext(): void {
    if (this.#quietMs === undefined || this.#over) return
    if (this.#quiet !== undefined) this.#deadlines.remove(this.#quiet)
    this.#quiet = this.#deadlines.add(this.#quietMs, () => this.#stop())
  }
}
