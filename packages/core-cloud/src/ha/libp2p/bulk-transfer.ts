import type { Connection, Stream } from '@libp2p/interface'
import { CloudError, type ErrorBody } from '../../kernel/errors.js'
import { type BulkInlet, maxBulkHeaderBytes } from '../network.js'
import { drained, StreamReader } from './stream-reader.js'

/*
 * Something large on a stream of its own. All numbers little-endian.
 *
 *   sender    header length (4), header                                     ->
 *             <-         0, offset (8)   or   1, length (4), error     receiver
 *             chunk length (4), chunk ... 0                                 ->
 *             <-         0               or   1, length (4), error
 */

export const bulkProtocol = '/aaas/bulk/1'

/** Transfers from one peer at once; more are refused. */
export const maxInboundBulks = 8

const maxChunkBytes = 256 * 1024
const maxErrorBytes = 4_096
const done = 0
const failed = 1

export interface BulkSending {
  readonly connection: Connection
  readonly header: Uint8Array
  readonly body: (offset: number) => AsyncIterable<Uint8Array>
  readonly signal: AbortSignal
}

export async function sendBulk({ connection, header, body, signal }: BulkSending): Promise<void> {
  signal.throwIfAborted()
  if (header.length > maxBulkHeaderBytes) {
    throw new CloudError('core.contract.payload-too-large', `a header of ${header.length} bytes`, { field: 'header' })
  }
  let stream: Stream | undefined
  const over = new AbortController()
  const stop = AbortSignal.any([signal, over.signal])
  try {
    stream = await connection.newStream(bulkProtocol, { signal, maxOutboundStreams: 64 })
    const reader = new StreamReader(stream)
    const open = stream
    stop.addEventListener('abort', () => open.abort(new Error('given up')), { once: true })
    stream.addEventListener('close', () => over.abort(lost()), { once: true })
    stream.send(withLength(header))
    await readStatus(reader)
    const offset = (await reader.read(8)).readBigUInt64LE(0)
    // The answer may come before the end of the body: the other side does not want the rest.
    const answer = readStatus(reader)
    answer.catch(() => undefined)
    await Promise.race([sendBody(stream, body(Number(offset)), stop), answer])
    await answer
    await stream.close({ signal: stop })
  } catch (error) {
    stream?.abort(new Error('given up'))
    signal.throwIfAborted()
    throw CloudError.is(error) ? error : new CloudError('core.ha.unavailable', 'the transfer ended', { cause: error })
  } finally {
    over.abort()
  }
}

async function sendBody(stream: Stream, body: AsyncIterable<Uint8Array>, stop: AbortSignal): Promise<void> {
  const iterator = body[Symbol.asyncIterator]()
  const stopped = new Promise<never>((_, reject) => {
    stop.addEventListener('abort', () => reject(stop.reason as Error), { once: true })
  })
  stopped.catch(() => undefined)
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), stopped])
      if (next.done) break
      for (let start = 0; start < next.value.length; start += maxChunkBytes) {
        await drained(stream, stop)
        stream.send(withLength(next.value.subarray(start, start + maxChunkBytes)))
      }
    }
    await drained(stream, stop)
    stream.send(Buffer.alloc(4))
  } finally {
    // Not waited for: a body that hangs must not hold up the sender.
    void iterator.return?.()?.then(undefined, () => undefined)
  }
}

/** Takes one transfer; never rejects. */
export async function receiveBulk(stream: Stream, accept: (header: Uint8Array) => Promise<BulkInlet>): Promise<void> {
  const reader = new StreamReader(stream)
  try {
    const length = (await reader.read(4)).readUInt32LE(0)
    if (length > maxBulkHeaderBytes) throw new CloudError('core.ha.bad-message', `a header of ${length} bytes`)
    const inlet = await accept(await reader.read(length))
    const answer = Buffer.alloc(9)
    answer.writeBigUInt64LE(BigInt(inlet.offset), 1)
    stream.send(answer)
    await inlet.take(chunksOf(reader))
    stream.send(Buffer.of(done))
    await stream.close()
  } catch (error) {
    await sayFailure(stream, error).catch(() => undefined)
  } finally {
    // Whatever still comes is not read.
    if (stream.status === 'open') stream.abort(new Error('done'))
  }
}

async function sayFailure(stream: Stream, error: unknown): Promise<void> {
  if (stream.status !== 'open' || stream.writeStatus !== 'writable') return
  const { code, message } = CloudError.from(error)
  const text = Buffer.from(JSON.stringify({ code, message: message.slice(0, 500), retryable: false }))
  stream.send(Buffer.concat([Buffer.of(failed), withLength(text.subarray(0, maxErrorBytes))]))
  await stream.close()
}

async function* chunksOf(reader: StreamReader): AsyncIterable<Uint8Array> {
  for (;;) {
    const length = (await reader.read(4)).readUInt32LE(0)
    if (length === 0) return
    if (length > maxChunkBytes) throw new CloudError('core.ha.bad-message', `a chunk of ${length} bytes`)
    yield await reader.read(length)
  }
}

async function readStatus(reader: StreamReader): Promise<void> {
  const status = (await reader.read(1))[0]
  if (status === done) return
  const length = Math.min((await reader.read(4)).readUInt32LE(0), maxErrorBytes)
  const text = (await reader.read(length)).toString()
  throw new CloudError('core.ha.unavailable', `the other side refused: ${reasonOf(text)}`)
}

function reasonOf(text: string): string {
  try {
    const { code, message } = JSON.parse(text) as ErrorBody
    return `${code}: ${message}`
  } catch {
    return 'no reason'
  }
}

function withLength(bytes: Uint8Array): Buffer {
  const whole = Buffer.allocUnsafe(4 + bytes.length)
  whole.writeUInt32LE(bytes.length)
  whole.set(bytes, 4)
  return whole
}

function lost(): CloudError {
  return new CloudError('core.ha.unavailable', 'the connection ended')
}
