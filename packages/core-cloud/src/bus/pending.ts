import type { Deadline } from '../kernel/deadlines.js'
import { errorCodeEntry } from '../kernel/error-codes.js'
import { CloudError } from '../kernel/errors.js'
import type { BusMessage } from './bus.js'
import { type HubLink, maxPayloadBytes } from './link.js'

/** Something that waits for the hub's answer. */
export interface Pending {
  /** Grows with every call: what waited for a connection is sent in the order it was asked for. */
  readonly order: number
  readonly subject: string
  readonly done: (answer: BusMessage | undefined) => void
  /** Takes an answer that may not be the last one; without it the first one ends the request. */
  readonly each: ((answer: BusMessage) => void) | undefined
  readonly fail: (error: CloudError) => void
  /** Sends it; kept while there is no connection, and for what may simply be said again on the next one. */
  send: ((link: HubLink) => void) | undefined
  readonly repeatable: boolean
  sent: boolean
  timer: Deadline | undefined
  release: (() => void) | undefined
}

/** @throws CloudError `core.contract.payload-too-large`. */
export function checkPayload(payload: Uint8Array): void {
  if (payload.length > maxPayloadBytes) {
    throw new CloudError(
      'core.contract.payload-too-large',
      `a payload of ${payload.length} bytes; at most ${maxPayloadBytes} are allowed`,
    )
  }
}

/** An error of the other side of a link. @param retryAfterMs - becomes `details.retryAfterMs`. */
export function failureOf(code: string, text: string, retryAfterMs?: number): CloudError {
  const retryable = errorCodeEntry(code)?.retryable ?? false
  const details = retryAfterMs === undefined ? {} : { details: { retryAfterMs } }
  return CloudError.fromBody({ code, message: text, retryable, ...details })
}

export function late(subject: string): CloudError {
  return new CloudError('core.contract.deadline-exceeded', `${subject} was not answered before its deadline`)
}

export function cancelled(subject: string, signal: AbortSignal): CloudError {
  const reason: unknown = signal.reason
  return CloudError.is(reason)
    ? reason
    : new CloudError('core.contract.cancelled', `the call of ${subject} was cancelled`, { cause: reason })
}
