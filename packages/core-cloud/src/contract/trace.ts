import type { Ids } from '../kernel/ids.js'

const traceIdForm = /^(?!0{32})[0-9a-f]{32}$/
const traceparentForm = /^([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const knownLength = 55

/** What a tracing system learns from a caller. Both values are well-formed. */
export interface TraceFacts {
  readonly traceparent: string
  readonly tracestate?: string
}

/** A trace id after W3C Trace Context: 32 hexadecimal digits. Not a secret. */
export function newTraceId(ids: Ids): string {
  return hex(ids) + hex(ids) + hex(ids) + hex(ids)
}

/** @returns the trace id of a `traceparent` header, or undefined when it is missing or malformed. */
export function traceIdOf(traceparent: string | undefined): string | undefined {
  return checkedTraceparent(traceparent)?.slice(3, 35)
}

/** A `traceparent` header with a span id of its own; undefined when the trace id is not of the W3C form. */
export function traceparentOf(traceId: string, ids: Ids): string | undefined {
  return traceIdForm.test(traceId) ? `00-${traceId}-${hex(ids)}${hex(ids)}-01` : undefined
}

/** A `traceparent` header that begins a trace. Written into bytes once: joining its parts would cost more than a call. */
export function newTraceparent(ids: Ids): string {
  for (const at of wordsOfParent) putWord(at, randomWord(ids))
  return fresh.toString('latin1')
}

/** True for 32 lower-case hexadecimal digits that are not all zero. */
export function isTraceId(text: string): boolean {
  return traceIdForm.test(text)
}

/**
 * Reads a `traceparent` header (W3C Trace Context, section 3.2.2) and gives it back as version 00 with the flags that are
 * known (sampled, random). Of a later version the known part counts.
 * @returns undefined when it is missing or malformed: the receiver then begins a trace of its own.
 */
export function checkedTraceparent(text: string | undefined): string | undefined {
  if (text === undefined || text.length < knownLength || text.length > 512) return undefined
  if (isOwnForm(text)) return text
  const match = traceparentForm.exec(text)
  if (match === null) return undefined
  const version = match[1] as string
  if (version === 'ff' || (version === '00' && text.length !== knownLength)) return undefined
  const flags = Number.parseInt(match[4] as string, 16) & 3
  return `00-${match[2]}-${match[3]}-0${flags}`
}

const memberForm =
  /^([a-z0-9][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])$/
const maxStateLength = 512
const maxMembers = 32

/**
 * Reads a `tracestate` header (W3C Trace Context, section 3.3). Of one longer than 512 characters, members over 128 go
 * first, then those at the end.
 * @returns undefined when it is missing, empty or malformed: it is left out then, and the trace goes on.
 */
export function checkedTracestate(text: string | undefined): string | undefined {
  if (text === undefined || text.length > 8_192) return undefined
  const members = text
    .split(',')
    .map(member => member.replace(/^[ \t]+|[ \t]+$/g, ''))
    .filter(member => member !== '')
  if (members.length === 0 || members.length > maxMembers) return undefined
  const keys = new Set<string>()
  for (const member of members) {
    const key = memberForm.exec(member)?.[1]
    if (key === undefined || keys.has(key)) return undefined
    keys.add(key)
  }
  let kept = members
  if (kept.join(',').length > maxStateLength) kept = kept.filter(member => member.length <= 128)
  while (kept.join(',').length > maxStateLength) kept = kept.slice(0, -1)
  return kept.length === 0 ? undefined : kept.join(',')
}

const [dash, zero, nine, a, f] = [45, 48, 57, 97, 102] as const

/**
 * True for a header of version 00 with no flags but "sampled", which nearly all are: the regular expression takes longer.
 */
function isOwnForm(text: string): boolean {
  const flags = text.charCodeAt(54)
  return (
    text.length === knownLength &&
    text.startsWith('00-') &&
    text.charCodeAt(35) === dash &&
    text.charCodeAt(52) === dash &&
    text.charCodeAt(53) === zero &&
    (flags === zero || flags === zero + 1) &&
    isId(text, 3, 35) &&
    isId(text, 36, 52)
  )
}

/** True for lower-case hexadecimal digits that are not all zero. */
function isId(text: string, from: number, to: number): boolean {
  let other = 0
  for (let at = from; at < to; at++) {
    const unit = text.charCodeAt(at)
    if (unit < zero || unit > f || (unit > nine && unit < a)) return false
    other |= unit ^ zero
  }
  return other !== 0
}

/** Eight digits, never all zero. */
function hex(ids: Ids): string {
  return randomWord(ids).toString(16).padStart(8, '0')
}

/** 1 to 2^32-1. */
function randomWord(ids: Ids): number {
  return Math.floor(ids.random() * 0xffff_ffff) + 1
}

const digits = Buffer.from('0123456789abcdef')
const fresh = Buffer.from(`00-${'0'.repeat(32)}-${'0'.repeat(16)}-01`)
/** Where eight random digits each begin in it. */
const wordsOfParent = [3, 11, 19, 27, 36, 44]

function putWord(at: number, word: number): void {
  for (let digit = 0; digit < 8; digit++) fresh[at + digit] = digits[(word >>> (28 - 4 * digit)) & 15] as number
}
