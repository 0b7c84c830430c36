import { createHash } from 'node:crypto'
import type { Queryable } from '@aaas/support-cloud/rdbms'

/** One act that touched a payment. `data` holds JSON values; never keys, card numbers or names of buyers. */
export interface AuditAct {
  readonly tenant: string
  /** Epoch milliseconds. */
  readonly at: number
  readonly act: string
  /** Id of the payment inside the gateway. */
  readonly payment: string
  readonly data: Readonly<Record<string, unknown>>
}

export interface AuditVerdict {
  /** Records read. */
  readonly length: number
  /** Hash of the newest record; compare it with one that was kept elsewhere to detect a rewritten chain. */
  readonly head: string
  /** Number of the first record that does not fit; absent: the chain is whole. */
  readonly brokenAt?: number
}

interface AuditRow {
  readonly seq: number
  readonly at: number
  readonly act: string
  readonly payment: string
  readonly data: string
  readonly previous_hash: string
  readonly hash: string
}

const genesis = '0'.repeat(64)
const pageSize = 1_000

/**
 * Appends to the tenant's chain inside the act's own transaction: either both are there or neither.
 * Takes a lock on the head of the chain until commit, so call it last.
 */
export async function appendAudit(tx: Queryable, act: AuditAct): Promise<void> {
  await tx.query({
    name: 'payment-audit-open',
    text: 'insert into payment_audit_head (tenant, seq, hash) values ($1, 0, $2) on conflict do nothing',
    values: [act.tenant, genesis],
  })
  const [head] = await tx.query<{ seq: number; hash: string }>({
    name: 'payment-audit-head',
    text: 'select seq, hash from payment_audit_head where tenant = $1 for update',
    values: [act.tenant],
  })
  const seq = (head?.seq ?? 0) + 1
  const previous = head?.hash ?? genesis
  const data = JSON.stringify(act.data)
  const hash = recordHash(act.tenant, { ...act, seq, data, previous_hash: previous })
  await tx.query({
    name: 'payment-audit-append',
    text: `with record as (
        insert into payment_audit (tenant, seq, at, act, payment, data, previous_hash, hash)
        values ($1, $2, $3, $4, $5, $6, $7, $8))
      update payment_audit_head set seq = $2, hash = $8 where tenant = $1`,
    values: [act.tenant, seq, act.at, act.act, act.payment, data, previous, hash],
  })
}

/** Reads a tenant's whole chain and recomputes it, a thousand records at a time. */
export async function verifyAudit(database: Queryable, tenant: string): Promise<AuditVerdict> {
  let previous = genesis
  let length = 0
  for (;;) {
    const rows = await database.query<AuditRow>({
      text: `select seq, at, act, payment, data, previous_hash, hash from payment_audit
        where tenant = $1 and seq > $2 order by seq limit ${pageSize}`,
      values: [tenant, length],
    })
    for (const row of rows) {
      const fits = row.seq === length + 1 && row.previous_hash === previous && row.hash === recordHash(tenant, row)
      if (!fits) return { length, head: previous, brokenAt: length + 1 }
      previous = row.hash
      length += 1
    }
    if (rows.length < pageSize) break
  }
  const [head] = await database.query<{ seq: number; hash: string }>({
    text: 'select seq, hash from payment_audit_head where tenant = $1',
    values: [tenant],
  })
  // Records cut off at the end leave a chain that fits in itself; only the head knows how long it was.
  const whole = head === undefined ? length === 0 : head.seq === length && head.hash === previous
  return { length, head: previous, ...(whole ? {} : { brokenAt: length + 1 }) }
}

function recordHash(tenant: string, row: Omit<AuditRow, 'hash'>): string {
  const fields = [row.previous_hash, tenant, row.seq, row.at, row.act, row.payment, row.data]
  return createHash('sha256').update(JSON.stringify(fields)).digest('hex')
}
