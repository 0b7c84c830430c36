import type { ErrorCodeTable } from './entry.js'

/** Codes thrown by layer 1. */
export const supportErrorCodes = {
  'support.rdbms.unavailable': { status: 503, retryable: true, text: 'The database cannot be reached.' },
  'support.rdbms.no-engine': { status: 500, text: 'No PostgreSQL was found on this machine.' },
  'support.rdbms.start-failed': { status: 500, text: 'PostgreSQL did not start; its log has the cause.' },
  'support.rdbms.migration-failed': { status: 500, text: 'A migration failed and was rolled back.' },
  'support.rdbms.version-mismatch': {
    status: 409,
    text: 'The data directory was written by another major version of PostgreSQL.',
  },
  'support.rdbms.invalid-name': {
    status: 400,
    text: 'A database or role name has characters that are not allowed, or is reserved.',
  },
  'support.rdbms.schema-too-new': { status: 409, text: 'The database was migrated by a newer version of the package.' },
  'support.cache.unavailable': { status: 503, retryable: true, text: 'The cache cannot be reached.' },
  'support.cache.too-large': { status: 413, text: 'The value is larger than the cache accepts.' },
  'support.search.unavailable': { status: 503, retryable: true, text: 'The search index cannot be reached.' },
  'support.search.invalid-query': { status: 400, text: 'The query is too long or malformed.' },
  'support.transaction.unbalanced': { status: 422, text: 'Debits and credits of a posting differ.' },
  'support.transaction.insufficient': { status: 409, text: 'An account limit forbids the transfer.' },
  'support.transaction.conflict': { status: 409, text: 'The same id was used before with another content.' },
  'support.transaction.unknown-account': { status: 404, text: 'No such account.' },
  'support.transaction.not-pending': { status: 409, text: 'The transfer is no longer pending.' },
  'support.transaction.invalid-transfer': {
    status: 400,
    text: 'Amount, currency, accounts or kind of a transfer are not allowed.',
  },
  'support.event.unknown-topic': { status: 404, text: 'Nobody declared this topic.' },
} as const satisfies ErrorCodeTable
