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

/** The error for an owner that `stock_hold` refused. @param unknown - the SKU has no level at all. */
export function stockShortage(sku: string, unknown: boolean): CloudError {
  return unknown
    ? new CloudError('business.catalogue.unknown-product', `no stock level of ${sku}`, { details: { sku } })
    : new CloudError('business.inventory.sold-out', `not enough stock of ${sku}`, { details: { sku } })
}
