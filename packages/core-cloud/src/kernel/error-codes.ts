import { accessErrorCodes } from './error-codes/access.js'
import { businessErrorCodes } from './error-codes/business.js'
import { coreErrorCodes } from './error-codes/core.js'
import type { ErrorCodeEntry } from './error-codes/entry.js'
import { siteErrorCodes } from './error-codes/site.js'
import { supportErrorCodes } from './error-codes/support.js'

/** Every code of every layer: one union, one docs page (`docs/errors.md`, generated from here). */
export const errorCodes = {
  ...coreErrorCodes,
  ...supportErrorCodes,
  ...accessErrorCodes,
  ...businessErrorCodes,
  ...siteErrorCodes,
} as const

export type ErrorCode = keyof typeof errorCodes

/** @returns the entry of a code, or undefined when this version does not know it (a newer peer may send it). */
export function errorCodeEntry(code: string): ErrorCodeEntry | undefined {
  return Object.hasOwn(errorCodes, code) ? errorCodes[code as ErrorCode] : undefined
}
