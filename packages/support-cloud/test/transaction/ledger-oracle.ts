import type { LedgerAccount, LedgerTransfer } from '@aaas/support-cloud/transaction'

interface Body {
  readonly kind: string
  readonly debit: string
  readonly credit: string
  readonly amount: number
  readonly ref: string | undefined
  readonly pending: string | undefined
}
type Counters = [debitsPosted: number, creditsPosted: number, debitsPending: number, creditsPending: number]

/** The ledger as plain as it can be said: every balance is recomputed from all transfers each time. */
export class LedgerOracle {
  readonly #accounts = new Map<string, LedgerAccount>()
  #transfers = new Map<string, Body>()

  constructor(accounts: readonly LedgerAccount[]) {
    for (const account of accounts) this.#accounts.set(account.id, account)
  }

  /** @returns how many transfers were new, or undefined when the call is refused. */
  apply(calls: readonly LedgerTransfer[]): number | undefined {
    const before = this.#transfers
    const after = new Map(before)
    for (const transfer of calls) {
      const body = this.#body(transfer, before)
      if (body === undefined) return undefined
      const known = after.get(transfer.id)
      if (known !== undefined && JSON.stringify(known) !== JSON.stringify(body)) return undefined
      const resolved = [...after].some(
        ([id, other]) => id !== transfer.id && other.pending !== undefined && other.pending === body.pending,
      )
      if (known === undefined && resolved) return undefined
      after.set(transfer.id, body)
    }
    this.#transfers = after
    if ([...this.#accounts.values()].every(account => this.#within(account))) return after.size - before.size
    this.#transfers = before
    return undefined
  }

  counters(account: string): Counters {
    const sums: Counters = [0, 0, 0, 0]
    for (const [id, body] of this.#transfers) {
      const side = body.debit === account ? 0 : body.credit === account ? 1 : undefined
      if (side === undefined) continue
      const open = body.kind === 'pending' && ![...this.#transfers.values()].some(other => other.pending === id)
      if (body.kind === 'posted' || body.kind === 'post') sums[side] += body.amount
      if (open) sums[side + 2] = (sums[side + 2] ?? 0) + body.amount
    }
    return sums
  }

  #body(transfer: LedgerTransfer, before: ReadonlyMap<string, Body>): Body | undefined {
    if ('debit' in transfer) {
      const { kind, debit, credit, amount, ref } = transfer
      const known = this.#accounts.has(debit) && this.#accounts.has(credit)
      return known && debit !== credit && amount > 0
        ? { kind, debit, credit, amount, ref, pending: undefined }
        : undefined
    }
    const pending = before.get(transfer.pending)
    if (pending?.kind !== 'pending') return undefined
    const amount = (transfer.kind === 'post' ? transfer.amount : undefined) ?? pending.amount
    if (amount > pending.amount || amount <= 0) return undefined
    const { debit, credit } = pending
    return { kind: transfer.kind, debit, credit, amount, ref: transfer.ref, pending: transfer.pending }
  }

  #within({ id, limit }: LedgerAccount): boolean {
    const [dp, cp, dw, cw] = this.counters(id)
    if (limit === 'debits-within-credits') return dp + dw <= cp
    return limit === 'credits-within-debits' ? cp + cw <= dp : true
  }
}
