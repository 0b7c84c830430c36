import { type MsgHdrs, headers as newHeaders } from '@nats-io/transport-node'
import { CloudError } from '../../kernel/errors.js'
import type { BusHeaders } from '../bus.js'
import { encodeHeaders, type HeaderBlock, noHeaders } from '../headers.js'

/*
 * How a client of NATS that knows nothing of us (the `nats` command, Python, Go) speaks to our services, and we to its:
 * the payload is the body as it is (JSON where a contract is served), headers are NATS headers, names in lower case.
 *
 *     aaas-deadline             epoch milliseconds until which the caller waits
 *     aaas-timeout              the same as milliseconds from when the service gets the message
 *     Nats-Service-Error        of an answer that is an error: what happened, for people
 *     Nats-Service-Error-Code   of an answer that is an error: our code, such as `core.contract.invalid-input`
 *
 * Every other name that starts with `aaas-` is dropped, in both directions.
 */
const deadlineHeader = 'aaas-deadline'
const timeoutHeader = 'aaas-timeout'
const errorHeader = 'Nats-Service-Error'
const codeHeader = 'Nats-Service-Error-Code'
const nameForm = /^[a-z0-9-]{1,64}$/

/** @throws CloudError `core.contract.payload-too-large` for more headers than a message may have. */
export function readPlainHeaders(from: MsgHdrs | undefined): HeaderBlock {
  if (from === undefined) return noHeaders
  const headers: Record<string, string> = {}
  for (const key of from.keys()) {
    const name = key.toLowerCase()
    if (nameForm.test(name) && !name.startsWith('aaas-') && !from.get(key).includes('\0')) headers[name] = from.get(key)
  }
  return encodeHeaders(headers)
}

/** @returns epoch milliseconds; `defaultMs` from now when the message says nothing that can be read. */
export function plainDeadline(from: MsgHdrs | undefined, now: number, defaultMs: number): number {
  const said = (name: string): number => {
    const key = from?.keys().find(one => one.toLowerCase() === name)
    const text = key === undefined ? undefined : from?.get(key)
    return text === undefined || !/^\d{1,15}$/.test(text) ? Number.NaN : Number(text)
  }
  const deadline = said(deadlineHeader)
  if (!Number.isNaN(deadline)) return deadline
  const timeout = said(timeoutHeader)
  return now + (Number.isNaN(timeout) ? defaultMs : timeout)
}

/** Headers for a plain client; undefined when there are none. */
export function plainHeaders(headers: BusHeaders | undefined, deadline?: number): MsgHdrs | undefined {
  const names = headers === undefined ? [] : Object.keys(headers)
  if (names.length === 0 && deadline === undefined) return undefined
  const into = newHeaders()
  for (const name of names) into.append(name, headers?.[name] ?? '')
  if (deadline !== undefined) into.append(deadlineHeader, String(Math.floor(deadline)))
  return into
}

/** Headers of an answer: those of the handler, and the error in the words of NATS when it is one of a contract. */
export function answerHeaders(headers: BusHeaders | undefined, payload: Uint8Array): MsgHdrs | undefined {
  const into = plainHeaders(headers)
  if (headers?.error === undefined || into === undefined) return into
  const { code, message } = bodyOf(payload)
  return withError(into, code, message)
}

/** The answer of a call that the bus itself gives up. */
export function plainFailure(code: string, text: string): { readonly headers: MsgHdrs; readonly payload: Uint8Array } {
  const { message, retryable } = CloudError.fromBody({ code, message: text, retryable: false })
  const payload = Buffer.from(JSON.stringify({ code, message, retryable }))
  return { headers: withError(newHeaders(), code, text), payload }
}

/** The error that a plain answer says it is. */
export function plainErrorOf(headers: MsgHdrs | undefined): CloudError | undefined {
  const key = headers?.keys().find(one => one.toLowerCase() === codeHeader.toLowerCase())
  if (headers === undefined || key === undefined) return undefined
  const said = headers.keys().find(one => one.toLowerCase() === errorHeader.toLowerCase())
  const message = said === undefined ? '' : headers.get(said)
  return CloudError.fromBody({ code: headers.get(key), message, retryable: false })
}

function withError(into: MsgHdrs, code: string, text: string): MsgHdrs {
  // A line break would end the header.
  into.set(errorHeader, text.slice(0, 500).replace(/[\r\n\0]+/g, ' '))
  into.set(codeHeader, code)
  return into
}

function bodyOf(payload: Uint8Array): { readonly code: string; readonly message: string } {
  let body: unknown
  try {
    body = payload.length > 65_536 ? undefined : JSON.parse(Buffer.from(payload).toString())
  } catch {
    body = undefined
  }
  const { code, message } = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>
  return {
    code: typeof code === 'string' && /^[\x21-\x7e]{1,100}$/.test(code) ? code : 'core.contract.remote-error',
    message: typeof message === 'string' ? message : 'the call failed',
  }
}
