import type { IncomingMessage } from 'node:http'
import { CloudError } from '@aaas/core-cloud/kernel'

/**
 * Reads a request's body.
 * @throws CloudError `core.contract.payload-too-large` as soon as it is larger than `maxBytes`. The rest is not read
 *   then, but the connection stays open for the answer; close it after that.
 */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= maxBytes) {
        chunks.push(chunk)
        return
      }
      request.removeAllListeners('data')
      request.pause()
      reject(new CloudError('core.contract.payload-too-large', `the body is larger than ${maxBytes} bytes`))
    })
    request.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')))
    request.on('error', reject)
    request.on('close', () => reject(new CloudError('core.contract.cancelled', 'the client went away')))
  })
}

/**
 * Decodes form parameters once; values are otherwise as received.
 * @throws CloudError `core.contract.invalid-input` when a name comes twice (which one would be signed?) or there are
 *   more than 200.
 */
export function formParams(...texts: readonly string[]): Record<string, string> {
  const params = new Map<string, string>()
  for (const text of texts) {
    for (const [name, value] of new URLSearchParams(text)) {
      if (params.has(name))
        throw new CloudError('core.contract.invalid-input', 'a parameter comes twice', { field: name.slice(0, 64) })
      if (params.size >= 200) throw new CloudError('core.contract.invalid-input', 'more than 200 parameters')
      params.set(name, value)
    }
  }
  return Object.fromEntries(params)
}
