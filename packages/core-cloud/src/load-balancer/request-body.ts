import type { IncomingMessage } from 'node:http'
import type { RequestBody } from './exchange.js'
import type { RequestFraming } from './request-head.js'

const nothing: RequestBody = { kind: 'whole', bytes: undefined }
const noFraming: RequestFraming = { kind: 'none' }

/**
 * Reads a small body whole, and the beginning of a large one, then calls `done` once with how it travels on.
 * Never calls it when the client goes away before.
 */
export function readBody(
  request: IncomingMessage,
  limits: { readonly wholeBytes: number; readonly maxBytes: number },
  done: (body: RequestBody | 'too-large', framing: RequestFraming) => void,
): void {
  const announced = request.headers['content-length']
  const chunked = request.headers['transfer-encoding'] !== undefined
  if (announced === undefined && !chunked) {
    // Without a length a request has no body; those that usually have one say so.
    const silent = request.method === 'GET' || request.method === 'HEAD'
    done(nothing, silent ? noFraming : { kind: 'length', length: 0 })
    return
  }
  if (announced !== undefined && Number(announced) > limits.wholeBytes) {
    done({ kind: 'stream', first: Buffer.alloc(0), chunked: false }, { kind: 'length', length: Number(announced) })
    return
  }
  const parts: Buffer[] = []
  let size = 0
  const onData = (bytes: Buffer): void => {
    parts.push(bytes)
    size += bytes.length
    if (size <= limits.wholeBytes) return
    request.off('data', onData)
    request.off('end', onEnd)
    request.pause()
    if (size > limits.maxBytes) done('too-large', noFraming)
    else done({ kind: 'stream', first: Buffer.concat(parts), chunked: true }, { kind: 'chunked' })
  }
  const onEnd = (): void => {
    if (size > limits.maxBytes) {
      done('too-large', noFraming)
      return
    }
    const bytes = parts.length === 1 ? parts[0] : Buffer.concat(parts)
    done({ kind: 'whole', bytes: size === 0 ? undefined : bytes }, { kind: 'length', length: size })
  }
  request.on('data', onData)
  request.on('end', onEnd)
  request.on('error', () => undefined)
}
