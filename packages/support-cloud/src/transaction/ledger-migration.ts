import { ledgerFunctionsSql } from './ledger-functions.js'
import { ledgerPartitionsSql } from './ledger-partitions.js'
import { ledgerReadingSql } from './ledger-reading.js'
import { ledgerTablesSql } from './ledger-tables.js'

/** The ledger: tables, functions, partitions. */
export const ledgerSql = `${ledgerTablesSql}${ledgerFunctionsSql}${ledgerReadingSql}${ledgerPartitionsSql}`

/** Answers of requests by key, so that a repeat gets the first answer. */
export const idempotencySql = `
create table idempotency (
  scope text not null,
  key text not null,
  body_hash text not null,
  response jsonb,
  created_at timestamptz not null default now(),
  primary key (scope, key)
);
create index idempotency_created on idempotency (created_at);
`
