import type { Clock } from '../../kernel/clock.js'
import { FrameDecoder, frameHead, frameHeadBytes } from './frame-decoder.js'
import { maxSegmentBytes } from './topic-codec.js'

/** Bytes published and not yet acknowledged. */
const windowBytes = 1024 * 1024
/** Segments that wait for one that is missing. */
const maxHeld = 64

export interface Segment {
  readonly sequence: number
  readonly fresh: boolean
  readonly bytes: Uint8Array
}

/** Frames to one node, cut into segments. What is lost stays lost: a window that nobody acknowledges is given up in time. */
export class OutgoingStream {
  readonly #maxQueuedBytes: number
  readonly #lostMs: number
  readonly #clock: Clock
  readonly #publish: (segment: Segment) => void
  readonly #queue: Uint8Array[] = []
  #queued = 0
  readonly #begins = new WeakSet<Uint8Array>()
  #next = 0
  readonly #open: { readonly sequence: number; readonly bytes: number; readonly at: number }[] = []
  #openBytes = 0
  #flushing = false

  constructor(options: {
    readonly maxQueuedBytes: number
    /** Milliseconds after which a segment without an acknowledgement is thought to be lost. */
    readonly lostMs: number
    readonly clock: Clock
    readonly publish: (segment: Segment) => void
  }) {
    this.#maxQueuedBytes = options.maxQueuedBytes
    this.#lostMs = options.lostMs
    this.#clock = options.clock
    this.#publish = options.publish
  }

  send(pieces: readonly Uint8Array[], bytes: number): boolean {
    const waiting = this.#queued + this.#openBytes
    if (waiting > 0 && waiting + frameHeadBytes + bytes > this.#maxQueuedBytes) return false
    const head = frameHead(bytes)
    this.#begins.add(head)
    this.#queue.push(head, ...pieces.filter(({ length }) => length > 0))
    this.#queued += frameHeadBytes + bytes
    this.#flushSoon()
    return true
  }

  acknowledged(next: number): void {
    this.#release(({ sequence }) => sequence < next)
  }

  /** Gives up what was lost on the way. */
  beat(): void {
    const before = this.#clock.monotonic() - this.#lostMs
    this.#release(({ at }) => at < before)
  }

  #release(done: (open: { readonly sequence: number; readonly at: number }) => boolean): void {
    let first = this.#open[0]
    while (first !== undefined && done(first)) {
      this.#openBytes -= first.bytes
      this.#open.shift()
      first = this.#open[0]
    }
    this.#flushSoon()
  }

  #flushSoon(): void {
    if (this.#flushing || this.#queue.length === 0) return
    this.#flushing = true
    queueMicrotask(() => {
      this.#flushing = false
      while (this.#queue.length > 0 && this.#openBytes < windowBytes) this.#flush()
    })
  }

  #flush(): void {
    const first = this.#queue[0] as Uint8Array
    const fresh = this.#begins.has(first)
    const batch: Uint8Array[] = []
    let bytes = 0
    while (bytes < maxSegmentBytes) {
      const piece = this.#queue[0]
      if (piece === undefined || (bytes > 0 && !this.#fits(piece, maxSegmentBytes - bytes))) break
      this.#queue.shift()
      const part = piece.subarray(0, maxSegmentBytes - bytes)
      if (part.length < piece.length) this.#queue.unshift(piece.subarray(part.length))
      batch.push(part)
      bytes += part.length
    }
    this.#queued -= bytes
    this.#openBytes += bytes
    const sequence = this.#next++
    this.#open.push({ sequence, bytes, at: this.#clock.monotonic() })
    this.#publish({ sequence, fresh, bytes: Buffer.concat(batch, bytes) })
  }

  /** Segments begin with frames where that is possible: then one that is lost costs only what is in it. */
  #fits(piece: Uint8Array, room: number): boolean {
    if (!this.#begins.has(piece)) return true
    return Buffer.from(piece.buffer, piece.byteOffset).readUInt32LE(0) - 1 + frameHeadBytes <= room
  }
}

export interface IncomingStreamOptions {
  readonly maxFrameBytes: number
  /** Milliseconds that later segments wait for one that is missing. */
  readonly gapMs: number
  readonly clock: Clock
  readonly onFrame: (frame: Buffer) => void
  /** Everything before `next` was taken or given up. */
  readonly onProgress: (next: number) => void
}

/** Segments of one node, brought into order and back into frames. A gap costs the frames in it and nothing else. */
export class IncomingStream {
  readonly #options: IncomingStreamOptions
  #decoder: FrameDecoder
  readonly #held = new Map<number, Segment>()
  #next = 0
  /** After a gap nothing is understood until a frame begins. */
  #lost = false
  #cancel: (() => void) | undefined

  constructor(options: IncomingStreamOptions) {
    this.#options = options
    this.#decoder = new FrameDecoder(options)
  }

  /** Repeated segments change nothing. */
  take(segment: Segment): void {
    if (segment.sequence < this.#next || this.#held.has(segment.sequence)) return
    this.#held.set(segment.sequence, segment)
    this.#deliver()
    if (this.#held.size > maxHeld) this.#skip()
    if (this.#held.size === 0) this.#stopWaiting()
    else this.#cancel ??= this.#options.clock.after(this.#options.gapMs, () => this.#skip())
  }

  end(): void {
    this.#stopWaiting()
    this.#held.clear()
  }

  #deliver(): void {
    let moved = false
    for (let segment = this.#held.get(this.#next); segment !== undefined; segment = this.#held.get(this.#next)) {
      this.#held.delete(this.#next)
      this.#next += 1
      moved = true
      if (this.#lost && !segment.fresh) continue
      this.#lost = false
      this.#decoder.push(segment.bytes)
    }
    if (moved) this.#options.onProgress(this.#next)
  }

  #skip(): void {
    this.#stopWaiting()
    if (this.#held.size === 0) return
    this.#next = Math.min(...this.#held.keys())
    this.#lost = true
    this.#decoder = new FrameDecoder(this.#options)
    this.#deliver()
    if (this.#held.size > 0) this.#cancel = this.#options.clock.after(this.#options.gapMs, () => this.#skip())
  }

  #stopWaiting(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }
}
