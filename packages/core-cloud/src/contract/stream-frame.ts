import { CloudError, type ErrorBody } from '../kernel/errors.js'
import { decodeJson, encodeJson } from './call-headers.js'
import type { Credit } from './stream-limits.js'

/** What opens a stream: the payload of the call itself. */
export interface OpenFrame {
  readonly input: unknown
  readonly idleMs: number
}

/** Its answer: the caller's further frames go to this instance. */
export interface OpenedFrame {
  readonly stream: string
  readonly instance: string
  /** For items from the caller. */
  readonly window: Credit
  readonly idleMs: number
}

/**
 * What the caller says about an open stream, one frame of a kind at a time, in the order of `seq` from 1.
 * `pull` grants credit and is answered with items, or with none after a while; `push` brings items and is answered with
 * credit when there is some; `cancel` ends the stream.
 */
export type CallerFrame =
  | { readonly op: 'pull'; readonly stream: string; readonly seq: number; readonly credit: Credit }
  | {
      readonly op: 'push'
      readonly stream: string
      readonly seq: number
      readonly items: readonly unknown[]
      readonly end?: { readonly error?: ErrorBody }
    }
  | { readonly op: 'cancel'; readonly stream: string; readonly code: string }

/** Answer of a pull. `output` only at the end of a stream that goes in. */
export interface PulledFrame {
  readonly items: readonly unknown[]
  readonly end?: { readonly error?: ErrorBody; readonly output?: unknown }
}

/** Answer of a push. `stop`: no more items are wanted. */
export interface PushedFrame {
  readonly credit: Credit
  readonly stop?: boolean
}

type Fields = Readonly<Record<string, unknown>>

const tokenForm = /^[A-Za-z0-9_-]{1,64}$/

/** A frame that holds items already written as JSON. */
export function itemsFrame(head: Fields, texts: readonly string[], end: Fields | undefined): Uint8Array {
  const start = JSON.stringify(head)
  const tail = end === undefined ? '' : `,"end":${JSON.stringify(end)}`
  const comma = start === '{}' ? '' : ','
  return Buffer.from(`${start.slice(0, -1)}${comma}"items":[${texts.join(',')}]${tail}}`)
}

/** @throws CloudError `core.contract.invalid-input` naming the field. */
export function readOpen(payload: Uint8Array, label: string): OpenFrame {
  const fields = fieldsOf(payload, label)
  return { input: fields.input, idleMs: wholeOf(fields.idleMs, 'idleMs', 100) }
}

/** @throws CloudError `core.contract.remote-error`: the other end is not one of ours. */
export function readOpened(payload: Uint8Array, label: string): OpenedFrame {
  return asRemote(label, () => {
    const { stream, instance, window, idleMs } = fieldsOf(payload, label)
    return {
      stream: tokenOf(stream, 'stream'),
      instance: tokenOf(instance, 'instance'),
      window: creditOf(window, 'window'),
      idleMs: wholeOf(idleMs, 'idleMs', 100),
    }
  })
}

/** @throws CloudError `core.contract.invalid-input` naming the field. */
export function readCallerFrame(payload: Uint8Array): CallerFrame {
  const fields = fieldsOf(payload, 'the frame')
  const stream = tokenOf(fields.stream, 'stream')
  switch (fields.op) {
    case 'pull':
      return { op: 'pull', stream, seq: wholeOf(fields.seq, 'seq', 1), credit: creditOf(fields.credit, 'credit') }
    case 'push':
      return { op: 'push', stream, seq: wholeOf(fields.seq, 'seq', 1), ...itemsOf(fields) }
    case 'cancel':
      return { op: 'cancel', stream, code: typeof fields.code === 'string' ? fields.code : '' }
    default:
      throw wrong('op', 'must be pull, push or cancel')
  }
}

/** @throws CloudError `core.contract.remote-error`. */
export function readPulled(payload: Uint8Array, label: string): PulledFrame {
  return asRemote(label, () => itemsOf(fieldsOf(payload, label)))
}

/** @throws CloudError `core.contract.remote-error`. */
export function readPushed(payload: Uint8Array, label: string): PushedFrame {
  return asRemote(label, () => {
    const { credit, stop } = fieldsOf(payload, label)
    return { credit: creditOf(credit, 'credit'), stop: stop === true }
  })
}

export const encodeFrame = (frame: OpenFrame | OpenedFrame | CallerFrame | PushedFrame): Uint8Array => encodeJson(frame)

function asRemote<T>(label: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw new CloudError('core.contract.remote-error', `the answer of ${label} cannot be read`, { cause })
  }
}

function fieldsOf(payload: Uint8Array, label: string): Fields {
  let value: unknown
  try {
    value = decodeJson(payload)
  } catch (cause) {
    throw new CloudError('core.contract.invalid-input', `${label}: the input is not JSON`, { field: '', cause })
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
  throw wrong('', 'must be an object')
}

function itemsOf({ items, end }: Fields): { items: readonly unknown[]; end?: { error?: ErrorBody; output?: unknown } } {
  if (!Array.isArray(items)) throw wrong('items', 'must be a list')
  if (end === undefined) return { items }
  if (typeof end !== 'object' || end === null) throw wrong('end', 'must be an object')
  return { items, end: end as { error?: ErrorBody; output?: unknown } }
}

function creditOf(value: unknown, field: string): Credit {
  if (typeof value !== 'object' || value === null) throw wrong(field, 'must be an object')
  const { items, bytes } = value as Fields
  return { items: wholeOf(items, `${field}/items`, 0), bytes: wholeOf(bytes, `${field}/bytes`, 0) }
}

function wholeOf(value: unknown, field: string, least: number): number {
  if (Number.isSafeInteger(value) && (value as number) >= least) return value as number
  throw wrong(field, `must be an integer of at least ${least}`)
}

function tokenOf(value: unknown, field: string): string {
  if (typeof value === 'string' && tokenForm.test(value)) return value
  throw wrong(field, 'must be 1 to 64 of A-Z a-z 0-9 _ -')
}

function wrong(field: string, reason: string): CloudError {
  return new CloudError('core.contract.invalid-input', `${field === '' ? 'the frame' : field} ${reason}`, { field })
}
