import type { KeyObject } from 'node:crypto'
import { type Clock, CloudError } from '@aaas/core-cloud/kernel'
import type { RatePool } from '../pool/pool.js'
import { signRequest, verifyRsa2 } from './alipay-signature.js'
import { jsonMemberText } from './json-member.js'
import type { ProviderCall } from './provider.js'
import { beijingTime } from './system-beijing-time.js'

export interface AlipayClientOptions {
  readonly gatewayUrl: string
  readonly appId: string
  readonly privateKey: KeyObject
  readonly alipayPublicKey: KeyObject
  readonly clock: Clock
  readonly pool: RatePool
  readonly fetch: typeof fetch
  /** Milliseconds a sent call may take, whatever the caller's deadline. */
  readonly timeoutMs: number
}

/** `answered` only when the signature over the answer verified. */
export type AlipayAnswer =
  | { readonly answered: true; readonly body: Readonly<Record<string, unknown>> }
  | { readonly answered: false; readonly code: string; readonly message: string }

const maxAnswerBytes = 262_144

/** Speaks the form-encoded gateway protocol (`gateway.do`, version 1.0): signs requests and verifies answers. */
export class AlipayClient {
  readonly #options: AlipayClientOptions

  constructor(options: AlipayClientOptions) {
    this.#options = options
  }

  /** Address of a page method, for the buyer's browser. */
  pageUrl(
    method: string,
    parts: { readonly content: object; readonly extra: Readonly<Record<string, string>> },
  ): string {
    const url = new URL(this.#options.gatewayUrl)
    const params = this.#signed(method, parts.content, parts.extra)
    for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value)
    return url.href
  }

  /**
   * Waits for quota, then calls.
   * @throws CloudError `access.pool.timeout`, `access.pool.full` or the signal's reason: nothing was sent.
   */
  async call(method: string, content: object, call: ProviderCall): Promise<AlipayAnswer> {
    const { clock, pool, timeoutMs } = this.#options
    const { tenant, deadline, signal } = call
    await pool.acquire({ tenant, deadline, ...(signal === undefined ? {} : { signal }) })
    const left = Math.min(timeoutMs, deadline - clock.now())
    if (left <= 0) throw new CloudError('access.pool.timeout', 'no time was left to call the provider')
    const abort = new AbortController()
    const cancel = clock.after(left, () => abort.abort(new Error(`no answer within ${left} ms`)))
    try {
      return this.#verified(method, await this.#send(method, content, abort.signal))
    } catch (error) {
      return { answered: false, code: 'no-answer', message: error instanceof Error ? error.message : String(error) }
    } finally {
      cancel()
    }
  }

  #signed(method: string, content: object, extra: Readonly<Record<string, string>> = {}): Record<string, string> {
    const { appId, clock, privateKey } = this.#options
    const params = {
      app_id: appId,
      method,
      format: 'JSON',
      charset: 'utf-8',
      sign_type: 'RSA2',
      timestamp: beijingTime(clock.now()),
      version: '1.0',
      ...extra,
      biz_content: JSON.stringify(content),
    }
    return signRequest(params, privateKey)
  }

  async #send(method: string, content: object, signal: AbortSignal): Promise<string> {
    const response = await this.#options.fetch(this.#options.gatewayUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded;charset=utf-8', accept: 'application/json' },
      body: new URLSearchParams(this.#signed(method, content)).toString(),
      signal,
      redirect: 'error',
    })
    const text = await limitedText(response)
    if (response.status !== 200) throw new Error(`HTTP status ${response.status}`)
    return text
  }

  #verified(method: string, text: string): AlipayAnswer {
    const answer: unknown = JSON.parse(text)
    const memberText = jsonMemberText(text, `${method.replaceAll('.', '_')}_response`)
    const signature = isRecord(answer) ? answer.sign : undefined
    if (memberText === undefined || typeof signature !== 'string') {
      // `error_response` comes unsigned: anybody on the way could have written it.
      return { answered: false, code: 'unsigned-answer', message: text.slice(0, 300) }
    }
    if (!verifyRsa2(memberText, signature, this.#options.alipayPublicKey)) {
      return { answered: false, code: 'bad-answer-signature', message: text.slice(0, 300) }
    }
    const body: unknown = JSON.parse(memberText)
    return isRecord(body)
      ? { answered: true, body }
      : { answered: false, code: 'malformed-answer', message: 'not an object' }
  }
}

async function limitedText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  const reader = response.body?.getReader()
  for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
    size += part.value.length
    if (size > maxAnswerBytes) throw new Error(`answer larger than ${maxAnswerBytes} bytes`)
    chunks.push(part.value)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
