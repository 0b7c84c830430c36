import { CloudError } from '@aaas/core-cloud/kernel'
import type { SagaParkCode, SagaState } from './saga.js'
import type { SagaStepRow } from './saga-core.js'

/** What is written about the saga itself. */
export interface SagaPatch {
  readonly state?: SagaState
  readonly failure?: string
  readonly parkedFrom?: SagaState
  readonly parkedCode?: SagaParkCode
  readonly parkedReason?: string
  /** Gives the saga back to the queue. */
  readonly release?: boolean
  /** Milliseconds until it is due: the lease of who goes on, or the pause of who lays it down. */
  readonly dueMs: number
  /** Signals seen: more than these make a saga that is laid down due at once. */
  readonly signalCount: number
}

export interface StepPatch extends SagaStepRow {
  /** The signal that the step took. */
  readonly signalId?: string
}

/** @returns the value as JSON text and back. @throws CloudError when it is too large or cannot be stored. */
export function storable(field: string, value: unknown, maxBytes: number): unknown {
  let text: string | undefined
  try {
    text = JSON.stringify(value ?? null)
  } catch (error) {
    throw new CloudError('core.contract.invalid-input', `${field} is not JSON: ${String(error)}`, {
      field,
      cause: error,
    })
  }
  if (text === undefined) throw new CloudError('core.contract.invalid-input', `${field} is not JSON`, { field })
  if (Buffer.byteLength(text) > maxBytes) {
    throw new CloudError('support.transaction.too-large', `${field} is larger than ${maxBytes} bytes`, { field })
  }
  // An escaped NUL or half of a surrogate pair, with an odd number of backslashes in front.
  if (/(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/i.test(text)) {
    throw new CloudError('core.contract.invalid-input', `${field} has characters that cannot be stored`, { field })
  }
  return JSON.parse(text)
}

/** At most 500 characters, storable. */
export function errorText(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  // A cut may leave half of a surrogate pair.
  return text
    .replaceAll('\0', '')
    .slice(0, 500)
    .replace(/\p{Surrogate}/gu, '\ufffd')
}

export function checkName(field: string, value: unknown, most: number): string {
  if (typeof value !== 'string' || value.length < 1 || value.length > most || value.includes('\0')) {
    throw new CloudError('core.contract.invalid-input', `${field} must be 1 to ${most} characters without NUL`, {
      field,
    })
  }
  return value
}
