import { CloudError } from '../../kernel/errors.js'
import { type MessageRecord, messageRecordBytes, RecordType, seal, writeMessage } from './record.js'
import type { StreamIndex } from './stream-index.js'

/** Something that wants to be stored. */
export interface Append {
  readonly kind: 'message' | 'later'
  /** When it enters; for `later`. */
  readonly at: number
  readonly subject: string
  readonly messageId: string
  readonly target: string
  readonly headers: Buffer
  readonly payload: Uint8Array
  /** Number of the waiting message that this is; 0: of none. */
  readonly later: number
  readonly expectLast: number | undefined
  readonly expectSubject: number | undefined
  readonly done: (sequence: number, duplicate: boolean) => void
  readonly fail: (error: CloudError) => void
}

interface Placed {
  readonly append: Append
  readonly record: MessageRecord
  /** From the start of the batch. */
  readonly place: number
  readonly size: number
}

export interface BatchLimits {
  readonly maxIds: number
  readonly maxLaters: number
}

/**
 * Messages that are written together. Decides about each as if those before it were stored already, without touching
 * the index: when the write fails, nothing has happened.
 */
export class Batch {
  readonly placed: Placed[] = []
  /** Waiting messages that were due and turned out to be repetitions. */
  readonly endedLaters: number[] = []
  bytes = 0
  readonly #index: StreamIndex
  readonly #now: number
  readonly #limits: BatchLimits
  readonly #idCount: number
  readonly #ids = new Map<string, number>()
  readonly #laterIds = new Set<string>()
  readonly #subjects = new Map<string, { last: number; readonly sizes: number[] }>()
  readonly #duplicates: { readonly append: Append; readonly sequence: number }[] = []
  #last: number
  #lastLater: number
  #messages = 0
  #messageBytes = 0

  /** @param now - epoch milliseconds, not before the last stored message. */
  constructor(index: StreamIndex, now: number, limits: BatchLimits) {
    this.#index = index
    this.#now = now
    this.#limits = limits
    this.#last = index.last
    this.#lastLater = index.lastLater
    this.#idCount = index.forgetIds(now)
  }

  add(append: Append): void {
    try {
      if (append.kind === 'later') this.#addLater(append)
      else this.#addMessage(append)
    } catch (error) {
      append.fail(CloudError.from(error))
    }
  }

  /** The bytes to write at `place` of the file. */
  encode(place: number): Buffer {
    const buffer = Buffer.allocUnsafeSlow(this.bytes)
    for (const each of this.placed) {
      const type = each.append.kind === 'later' ? RecordType.later : RecordType.message
      const end = writeMessage(buffer, each.place, type, each.record)
      seal(buffer, each.place, end, place + each.place)
    }
    return buffer
  }

  /** Tells everybody; the index has applied the batch. */
  settle(): void {
    for (const { append, record } of this.placed) append.done(record.sequence, false)
    for (const { append, sequence } of this.#duplicates) append.done(sequence, true)
  }

  #addMessage(append: Append): void {
    const { messageId, subject } = append
    if (messageId !== '') {
      const known = this.#ids.get(messageId) ?? this.#index.knownId(messageId, this.#now)
      if (known !== undefined) {
        this.#duplicates.push({ append, sequence: known })
        if (append.later > 0) this.endedLaters.push(append.later)
        return
      }
      this.#checkIds()
    }
    const own = this.#subjects.get(subject)
    expect(append.expectLast, this.#last, 'the last sequence of the stream')
    expect(append.expectSubject, own?.last ?? this.#index.lastOf(subject), `the last sequence of ${subject}`)
    const size = messageRecordBytes(append)
    this.#checkRoom(subject, own?.sizes ?? [], size)
    this.#last += 1
    const record: MessageRecord = {
      sequence: this.#last,
      time: this.#now,
      later: append.later,
      subject,
      messageId,
      target: append.target,
      headers: append.headers,
      payload: append.payload,
    }
    this.#place(append, record, size)
    this.#messages += 1
    this.#messageBytes += size
    if (messageId !== '') this.#ids.set(messageId, this.#last)
    if (own === undefined) this.#subjects.set(subject, { last: this.#last, sizes: [size] })
    else {
      own.last = this.#last
      own.sizes.push(size)
    }
  }

  #addLater(append: Append): void {
    const { messageId } = append
    const known =
      this.#laterIds.has(messageId) ||
      this.#ids.has(messageId) ||
      this.#index.laterOf(messageId) !== undefined ||
      this.#index.knownId(messageId, this.#now) !== undefined
    if (known) {
      this.#duplicates.push({ append, sequence: 0 })
      return
    }
    if (this.#index.laters.size + this.#laterIds.size >= this.#limits.maxLaters) {
      throw new CloudError('core.bus.stream-full', `at most ${this.#limits.maxLaters} messages may wait for their time`)
    }
    this.#lastLater += 1
    this.#laterIds.add(messageId)
    const record = { ...append, sequence: this.#lastLater, time: append.at }
    this.#place(append, record, messageRecordBytes(append))
  }

  #place(append: Append, record: MessageRecord, size: number): void {
    this.placed.push({ append, record, place: this.bytes, size })
    this.bytes += size
  }

  #checkIds(): void {
    if (this.#idCount + this.#ids.size < this.#limits.maxIds) return
    throw new CloudError('core.bus.overloaded', `at most ${this.#limits.maxIds} message ids are remembered at a time`)
  }

  #checkRoom(subject: string, sizes: readonly number[], size: number): void {
    const { discard, maxMessages, maxBytes } = this.#index.config
    if (size > maxBytes) throw full('the message alone is larger than the stream may be')
    if (discard === 'old') return
    const { messages, bytes, config } = this.#index
    const bounded = config.maxPerSubject !== undefined
    const goneBytes = bounded ? this.#index.pushedOut(subject, [...sizes, size]) : 0
    const gone = bounded ? this.#index.countPushedOut(subject, sizes.length + 1) : 0
    if (messages + this.#messages + 1 - gone > maxMessages) throw full(`it has ${messages} messages`)
    if (bytes + this.#messageBytes + size - goneBytes > maxBytes) throw full(`it has ${bytes} bytes`)
  }
}

function expect(wanted: number | undefined, found: number, what: string): void {
  if (wanted === undefined || wanted === found) return
  throw new CloudError('core.bus.conflict', `${what} is ${found}, not ${wanted}`)
}

function full(reason: string): CloudError {
  return new CloudError('core.bus.stream-full', `the stream takes no more: ${reason}`)
}
