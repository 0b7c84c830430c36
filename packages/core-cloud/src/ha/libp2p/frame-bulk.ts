import { CloudError } from '../../kernel/errors.js'
import { type BulkInlet, maxBulkHeaderBytes } from '../network.js'
import type { NodeId } from '../raft/types.js'

/*
 * Bulk transfers as frames, for a network that has nothing but frames. Frame: kind (1), transfer (4), then offer:
 * header; accept: offset (8); chunk: number (4), bytes; taken: chunks taken (4); finish: chunks (4); done, fail, cancel:
 * nothing. A frame that is missing shows by a number that does not fit, or by silence, and fails the transfer.
 */
const kinds = { offer: 1, accept: 2, chunk: 3, taken: 4, finish: 5, done: 6, fail: 7, cancel: 8 } as const
/** With its heads it just fits into a segment of a topic. */
const chunkBytes = 127 * 1024
/** Chunks that the receiver has not fetched. */
const windowChunks = 8
/** Transfers in one direction with one node. */
const maxTransfers = 8

interface Sending {
  readonly to: NodeId
  offset: number | undefined
  taken: number
  finished: boolean
  failed: CloudError | undefined
  wake: () => void
}

interface Receiving {
  readonly chunks: Uint8Array[]
  expected: number
  finished: boolean
  failed: CloudError | undefined
  wake: () => void
}

export interface FrameBulkOptions {
  readonly send: (to: NodeId, pieces: readonly Uint8Array[]) => boolean
  /** Resolves when a frame may be sent again. */
  readonly pause: () => Promise<void>
}

export class FrameBulk {
  readonly #options: FrameBulkOptions
  readonly #sending = new Map<number, Sending>()
  readonly #receiving = new Map<string, Receiving>()
  #next = 1
  accept: ((from: NodeId, header: Uint8Array) => Promise<BulkInlet>) | undefined

  constructor(options: FrameBulkOptions) {
    this.#options = options
  }

  async send(
    to: NodeId,
    header: Uint8Array,
    body: (offset: number) => AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted()
    if (header.length > maxBulkHeaderBytes) {
      throw new CloudError('core.contract.payload-too-large', `a header of ${header.length} bytes`, { field: 'header' })
    }
    const id = this.#next++
    const state: Sending = {
      to,
      offset: undefined,
      taken: 0,
      finished: false,
      failed: undefined,
      wake: () => undefined,
    }
    this.#sending.set(id, state)
    const onAbort = (): void => state.wake()
    signal.addEventListener('abort', onAbort)
    try {
      await this.#transfer(id, state, { header, body, signal })
    } catch (error) {
      if (state.failed === undefined) this.#options.send(to, [frame(kinds.cancel, id)])
      signal.throwIfAborted()
      throw CloudError.is(error) ? error : new CloudError('core.ha.unavailable', 'the transfer ended', { cause: error })
    } finally {
      signal.removeEventListener('abort', onAbort)
      this.#sending.delete(id)
    }
  }

  async #transfer(
    id: number,
    state: Sending,
    {
      header,
      body,
      signal,
    }: { header: Uint8Array; body: (at: number) => AsyncIterable<Uint8Array>; signal: AbortSignal },
  ): Promise<void> {
    const until = async (ready: () => boolean): Promise<void> => {
      while (!ready()) {
        signal.throwIfAborted()
        if (state.failed !== undefined) throw state.failed
        await new Promise<void>(resolve => {
          state.wake = resolve
        })
      }
    }
    const say = async (pieces: readonly Uint8Array[]): Promise<void> => {
      while (!this.#options.send(state.to, pieces)) {
        signal.throwIfAborted()
        if (state.failed !== undefined) throw state.failed
        await this.#options.pause()
      }
    }
    if (!this.#options.send(state.to, [frame(kinds.offer, id), header])) throw gone(state.to)
    await until(() => state.offset !== undefined)
    const iterator = body(state.offset as number)[Symbol.asyncIterator]()
    let count = 0
    try {
      for (;;) {
        let step: IteratorResult<Uint8Array> | undefined
        let failure: unknown
        iterator.next().then(
          result => {
            step = result
            state.wake()
          },
          (error: unknown) => {
            failure = error ?? new Error('the body failed')
            state.wake()
          },
        )
        await until(() => step !== undefined || failure !== undefined || state.finished)
        if (failure !== undefined) throw failure
        if (step === undefined || step.done === true || state.finished) break
        for (let start = 0; start < step.value.length; start += chunkBytes) {
          await until(() => count - state.taken < windowChunks || state.finished)
          await say([frame(kinds.chunk, id, count), step.value.subarray(start, start + chunkBytes)])
          count += 1
        }
      }
    } finally {
      // Not waited for: a body that hangs must not hold up the sender.
      void iterator.return?.()?.then(undefined, () => undefined)
    }
    await say([frame(kinds.finish, id, count)])
    await until(() => state.finished)
  }

  /** A frame of a transfer. */
  take(from: NodeId, bytes: Buffer): void {
    if (bytes.length < 5) return
    const kind = bytes[0] as number
    const id = bytes.readUInt32LE(1)
    if (kind === kinds.offer) {
      void this.#receive(from, id, bytes.subarray(5))
      return
    }
    const receiving = this.#receiving.get(`${from} ${id}`)
    if (kind === kinds.chunk || kind === kinds.finish || kind === kinds.cancel) {
      if (receiving !== undefined) takeChunk(receiving, kind, bytes)
      return
    }
    const sending = this.#sending.get(id)
    if (sending === undefined || sending.to !== from) return
    if (kind === kinds.accept && bytes.length === 13) sending.offset = Number(bytes.readBigUInt64LE(5))
    else if (kind === kinds.taken && bytes.length === 9) sending.taken = bytes.readUInt32LE(5)
    else if (kind === kinds.done) sending.finished = true
    else if (kind === kinds.fail) sending.failed = new CloudError('core.ha.unavailable', `node ${from} refused`)
    sending.wake()
  }

  /** Everything with this node ends. */
  lost(node: NodeId): void {
    for (const sending of this.#sending.values()) {
      if (sending.to !== node) continue
      sending.failed = gone(node)
      sending.wake()
    }
    for (const [key, receiving] of this.#receiving) {
      if (!key.startsWith(`${node} `)) continue
      receiving.failed = gone(node)
      receiving.wake()
    }
  }

  async #receive(from: NodeId, id: number, header: Uint8Array): Promise<void> {
    const key = `${from} ${id}`
    const open = [...this.#receiving.keys()].filter(other => other.startsWith(`${from} `)).length
    if (this.accept === undefined || open >= maxTransfers || this.#receiving.has(key)) {
      this.#options.send(from, [frame(kinds.fail, id)])
      return
    }
    const state: Receiving = { chunks: [], expected: 0, finished: false, failed: undefined, wake: () => undefined }
    this.#receiving.set(key, state)
    try {
      const inlet = await this.accept(from, header)
      const answer = Buffer.alloc(13)
      answer.set(frame(kinds.accept, id))
      answer.writeBigUInt64LE(BigInt(inlet.offset), 5)
      this.#options.send(from, [answer])
      await inlet.take(this.#chunks(from, id, state))
      this.#options.send(from, [frame(kinds.done, id)])
    } catch {
      this.#options.send(from, [frame(kinds.fail, id)])
    } finally {
      this.#receiving.delete(key)
    }
  }

  async *#chunks(from: NodeId, id: number, state: Receiving): AsyncIterable<Uint8Array> {
    let given = 0
    for (;;) {
      const chunk = state.chunks.shift()
      if (chunk !== undefined) {
        yield chunk
        given += 1
        this.#options.send(from, [frame(kinds.taken, id, given)])
      } else if (state.failed !== undefined) throw state.failed
      else if (state.finished) return
      else {
        await new Promise<void>(resolve => {
          state.wake = resolve
        })
      }
    }
  }
}

function takeChunk(state: Receiving, kind: number, bytes: Buffer): void {
  const number = bytes.length < 9 ? -1 : bytes.readUInt32LE(5)
  const room = state.chunks.length < windowChunks + 1
  if (kind === kinds.chunk && number === state.expected && room) {
    state.chunks.push(bytes.subarray(9))
    state.expected += 1
  } else if (kind === kinds.finish && number === state.expected) state.finished = true
  else state.failed = new CloudError('core.ha.unavailable', 'the sender gave up, or a part was lost')
  state.wake()
}

function frame(kind: number, id: number, number?: number): Buffer {
  const bytes = Buffer.alloc(number === undefined ? 5 : 9)
  bytes[0] = kind
  bytes.writeUInt32LE(id, 1)
  if (number !== undefined) bytes.writeUInt32LE(number, 5)
  return bytes
}

function gone(node: NodeId): CloudError {
  return new CloudError('core.ha.unavailable', `no connection to node ${node}`)
}
