import { CloudError, type ErrorCode } from '@aaas/core-cloud/kernel'
import { sqlState } from '@aaas/support-cloud/rdbms'

const codes: Readonly<Record<string, { readonly code: ErrorCode; readonly detail: string }>> = {
  ST001: { code: 'business.inventory.sold-out', detail: 'sku' },
  ST002: { code: 'business.catalogue.unknown-product', detail: 'sku' },
  ST003: { code: 'business.inventory.invalid-state', detail: 'owner' },
  ST004: { code: 'business.inventory.conflict', detail: 'movementId' },
}

/**
 * Translates what the stock functions raise, also when another SQL function called them.
 * @returns a CloudError, or the value itself when it is something else.
 */
export function stockError(error: unknown): unknown {
  const entry = codes[sqlState(error) ?? '']
  if (entry === undefined || !(error instanceof Error)) return error
  const detail = 'detail' in error && typeof error.detail === 'string' ? error.detail : ''
  return new CloudError(entry.code, error.message, { cause: error, details: { [entry.detail]: detail } })
}
