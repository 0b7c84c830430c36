import type { Ids } from '../kernel/ids.js'

const traceIdForm = /^(?!0{32})[0-9a-f]{32}$/
const traceparentForm = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/

/** A trace id after W3C Trace Context: 32 hexadecimal digits. Not a secret. */
export function newTraceId(ids: Ids): string {
  return hex(ids) + hex(ids) + hex(ids) + hex(ids)
}

/** @returns the trace id of a `traceparent` header, or undefined when it is missing or malformed. */
export function traceIdOf(traceparent: string | undefined): string | undefined {
  if (traceparent === undefined) return undefined
  const id = traceparentForm.exec(traceparent)?.[1]
  return id !== undefined && traceIdForm.test(id) ? id : undefined
}

/** A `traceparent` header with a span id of its own; undefined when the trace id is not of the W3C form. */
export function traceparentOf(traceId: string, ids: Ids): string | undefined {
  return traceIdForm.test(traceId) ? `00-${traceId}-${hex(ids)}${hex(ids)}-01` : undefined
}

const digits = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** Eight digits, never all zero. */
function hex(ids: Ids): string {
  const word = Math.floor(ids.random() * 0xffff_ffff) + 1
  return `${digits[word >>> 24]}${digits[(word >>> 16) & 255]}${digits[(word >>> 8) & 255]}${digits[word & 255]}`
}
