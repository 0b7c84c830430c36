import { CloudError } from '../../kernel/errors.js'
import type { LeaseOptions } from '../coordination.js'

/** Characters of a name or key. */
const maxNameLength = 150
/** Bytes of what others see of a holder. */
const maxHolderValueBytes = 1_024
/** Bytes of a key's value. */
const maxValueBytes = 262_144
/** Keys that `list` gives at most. */
export const maxListed = 10_000

const nameForm = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/
const leaseTtl = { least: 1_000, most: 3_600_000, usual: 10_000 }
const keyTtl = { least: 1_000, most: 86_400_000 }

/** @throws CloudError `core.ha.invalid-argument`. */
export function checkName(name: string, field: string): void {
  if (typeof name === 'string' && name.length <= maxNameLength && nameForm.test(name)) return
  const shown = String(name).slice(0, 80)
  throw invalid(
    field,
    `'${shown}' is not tokens of A-Z a-z 0-9 _ - joined by dots, at most ${maxNameLength} characters`,
  )
}

/** @throws CloudError `core.ha.invalid-argument`, `core.ha.too-large`. */
export function checkLease(name: string, options: LeaseOptions): { readonly ttlMs: number; readonly value: string } {
  checkName(name, 'name')
  const { ttlMs = leaseTtl.usual, value = '' } = options
  checkWhole(ttlMs, 'ttlMs', leaseTtl)
  if (typeof value !== 'string') throw invalid('value', 'it is a string')
  checkBytes(Buffer.byteLength(value), maxHolderValueBytes)
  return { ttlMs, value }
}

/** @throws CloudError `core.ha.invalid-argument`, `core.ha.too-large`. */
export function checkPut(
  key: string,
  value: Uint8Array,
  options: { readonly expect?: number; readonly ttlMs?: number },
): void {
  checkName(key, 'key')
  if (!(value instanceof Uint8Array)) throw invalid('value', 'it is bytes')
  checkBytes(value.length, maxValueBytes)
  checkExpect(options.expect)
  if (options.ttlMs !== undefined) checkWhole(options.ttlMs, 'ttlMs', keyTtl)
}

/** @throws CloudError `core.ha.invalid-argument`. */
export function checkExpect(expect: number | undefined): void {
  if (expect !== undefined) checkWhole(expect, 'expect', { least: 0, most: Number.MAX_SAFE_INTEGER })
}

/** @throws CloudError `core.ha.invalid-argument`. */
export function checkWhole(
  value: number,
  field: string,
  { least, most }: { readonly least: number; readonly most: number },
): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return
  throw invalid(field, `${String(value).slice(0, 40)} is not a whole number of ${least} to ${most}`)
}

export function isBelow(key: string, folder: string | undefined): boolean {
  return folder === undefined || (key.startsWith(folder) && key[folder.length] === '.')
}

export function invalid(field: string, reason: string): CloudError {
  return new CloudError('core.ha.invalid-argument', `${field}: ${reason}`, { field })
}

export function stopped(): CloudError {
  return new CloudError('core.ha.stopped', 'the coordination is closed')
}

function checkBytes(bytes: number, most: number): void {
  if (bytes <= most) return
  throw new CloudError('core.ha.too-large', `the value has ${bytes} bytes; at most ${most} are possible`, {
    field: 'value',
  })
}
