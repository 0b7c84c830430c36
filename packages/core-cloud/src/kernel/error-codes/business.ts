import type { ErrorCodeTable } from './entry.js'

/** Codes thrown by layer 3. */
export const businessErrorCodes = {
  'business.party.unknown': { status: 404, text: 'No such buyer.' },
  'business.party.taken': { status: 409, text: 'The e-mail address is registered already.' },
  'business.party.bad-credentials': { status: 401, text: 'E-mail address or password is wrong.' },
  'business.catalogue.unknown-product': { status: 404, text: 'No such product or SKU.' },
  'business.catalogue.invalid-import': {
    status: 400,
    text: 'Rows of the import are wrong; nothing was imported. Details list row, field and reason.',
  },
  'business.pricing.unavailable': { status: 409, text: 'A line has no price in this currency.' },
  'business.inventory.sold-out': { status: 409, text: 'Not enough stock for a line; `details.sku` names it.' },
  'business.inventory.unknown-reservation': { status: 404, text: 'No such reservation.' },
  'business.inventory.invalid-state': { status: 409, text: 'The reservation is in a state that does not allow this.' },
  'business.inventory.conflict': { status: 409, text: 'The movement id was used before with another content.' },
  'business.cart.unknown': { status: 404, text: 'No such cart.' },
  'business.cart.empty': { status: 409, text: 'The cart has no lines.' },
  'business.cart.limit': { status: 409, text: 'The cart or a line is over its limit.' },
  'business.order.unknown': { status: 404, text: 'No such order.' },
  'business.order.invalid-transition': { status: 409, text: 'The order is in a state that does not allow this.' },
  'business.order.conflict': { status: 409, text: 'The idempotency key was used before with another content.' },
  'business.order.price-changed': {
    status: 409,
    text: 'The price changed since the buyer saw it; `details` has the new one.',
  },
  'business.order.overloaded': {
    status: 503,
    retryable: true,
    text: 'More orders are waiting than can be placed in time.',
  },
  'business.order.refused': { status: 422, text: 'A rule of the shop refused the order; the message says why.' },
  'business.payment.unknown': { status: 404, text: 'No such payment.' },
} as const satisfies ErrorCodeTable
