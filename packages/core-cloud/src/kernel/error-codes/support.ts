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
  'support.rdbms.overloaded': {
    status: 503,
    retryable: true,
    text: 'No connection to the database came free in time, or too many callers wait for one.',
  },
  'support.rdbms.fenced': {
    status: 409,
    text: 'Another node took over from this one; it must join again before it may start.',
  },
  'support.rdbms.not-in-sync': {
    status: 409,
    text: 'The standby does not have every acknowledged commit: it must not be promoted.',
  },
  'support.rdbms.lease-lost': { status: 409, retryable: true, text: 'Another one holds the lease over the servers.' },
  'support.rdbms.backup-failed': { status: 500, text: 'The backup is not complete and must not be used.' },
  'support.rdbms.restore-failed': { status: 500, text: 'The backup could not be brought to the wanted moment.' },
  'support.rdbms.unsafe-migration': {
    status: 422,
    text: 'A migration step would break the version that runs beside it; details name step and reason.',
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
  'support.transaction.archived': {
    status: 410,
    text: 'The id or the time lies before what was archived from the ledger.',
  },
  'support.transaction.overloaded': {
    status: 503,
    retryable: true,
    text: 'Too many transfers wait for the database.',
  },
  'support.transaction.outcome-unknown': {
    status: 504,
    retryable: true,
    text: 'The connection was lost during COMMIT and the outcome could not be learnt in time; ask by the key.',
  },
  'support.transaction.rolled-back': {
    status: 500,
    text: 'The database rolled the transaction back: a statement had failed and its error was swallowed.',
  },
  'support.transaction.network-call': {
    status: 500,
    text: 'A transaction called the network; `details.place` names the line. Checked in development only.',
  },
  'support.transaction.nested': { status: 500, text: 'A transaction was begun inside another one.' },
  'support.transaction.too-large': { status: 413, text: 'A stored value is larger than its limit; `field` names it.' },
  'support.transaction.unknown-saga': { status: 404, text: 'No such saga, or no definition of this name and version.' },
  'support.transaction.wrong-state': { status: 409, text: 'The saga or job is in a state that does not allow this.' },
  'support.transaction.fenced': {
    status: 409,
    text: 'Another worker took over this saga or job; what was asked for was not recorded.',
  },
  'support.transaction.branch-refused': {
    status: 409,
    text: 'A branch of a distributed transaction was cancelled or confirmed before.',
  },
  'support.event.refused': { status: 422, text: 'A subscriber can never take this event; it is parked.' },
  'support.event.unknown-topic': { status: 404, text: 'Nobody declared this topic.' },
} as const satisfies ErrorCodeTable
