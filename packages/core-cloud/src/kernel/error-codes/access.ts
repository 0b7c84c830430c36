import type { ErrorCodeTable } from './entry.js'

/** Codes thrown by layer 2. */
export const accessErrorCodes = {
  'access.pool.timeout': { status: 503, retryable: true, text: 'No capacity came free before the deadline.' },
  'access.pool.full': { status: 503, retryable: true, text: 'The waiting line of the pool is full.' },
  'access.payment.unknown-order': { status: 404, text: 'The provider or the gateway does not know this payment.' },
  'access.payment.conflict': { status: 409, text: 'The payment id was used before with another content.' },
  'access.payment.bad-signature': { status: 400, text: 'The signature of a provider message does not verify.' },
  'access.payment.mismatch': {
    status: 400,
    text: 'A notification names another seller, app or amount than the payment.',
  },
  'access.payment.provider-refused': {
    status: 422,
    text: 'The provider refused the request; its code is in the details.',
  },
  'access.payment.provider-unavailable': {
    status: 503,
    retryable: true,
    text: 'The provider did not answer; the outcome is unknown.',
  },
  'access.payment.invalid-state': { status: 409, text: 'The payment is in a state that does not allow this.' },
} as const satisfies ErrorCodeTable
