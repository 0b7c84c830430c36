/** What the simulation sends. Plain on purpose: the oracle knows nothing of the service. */
export interface Item {
  readonly kind: 'posted' | 'pending' | 'post' | 'void'
  readonly id: string
  readonly debit?: string
  readonly credit?: string
  readonly amount?: number
  readonly currency?: string
  readonly code?: string
  readonly ref?: string
  readonly pending?: string
  readonly timeoutMs?: number
  readonly balancingDebit?: boolean
  readonly balancingCredit?: boolean
  readonly linked?: boolean
}
export interface OracleAccount {
  readonly currency: string
  readonly limit: 'none' | 'debits' | 'credits'
  dp: number
  cp: number
  dw: number
  cw: number
}
interface Known {
  readonly body: string
  readonly item: Item
  readonly amount: number
  readonly reason: string | undefined
  readonly expiresAt: number
  ended: string | undefined
}
type Verdict = { readonly reason: string; readonly kept: boolean } | { readonly amount: number }

const unkept = new Set(['conflict', 'no-debit', 'no-credit', 'asset-differs', 'balancing-without-limit'])

/** The ledger as plain as it can be said: one item after the other, everything in maps. */
export class LedgerOracle {
  readonly accounts = new Map<string, OracleAccount>()
  #known = new Map<string, Known>()
  /** Milliseconds. */
  now = 0

  /** @returns for each item: the amount, or `!reason`; with `*` in front when the answer was stored before. */
  submit(items: readonly Item[]): string[] {
    const answers: string[] = []
    for (let at = 0; at < items.length; ) {
      let size = 1
      while (items[at + size - 1]?.linked) size += 1
      answers.push(...this.#chain(items.slice(at, at + size)))
      at += size
    }
    return answers
  }

  /** @returns how many were new, or undefined when the call is refused. */
  apply(items: readonly Item[]): number | undefined {
    const undo = this.#snapshot()
    const answers = this.submit(items)
    if (answers.every(answer => !answer.includes('!'))) return answers.filter(answer => !answer.startsWith('*')).length
    undo()
    return undefined
  }

  /** @returns how many pending transfers were given back. */
  expire(): number {
    let count = 0
    for (const one of this.#known.values()) {
      if (one.reason !== undefined || one.expiresAt > this.now || one.ended !== undefined) continue
      one.ended = 'expire'
      this.#account(one.item.debit).dw -= one.amount
      this.#account(one.item.credit).cw -= one.amount
      count += 1
    }
    return count
  }

  #account(id: string | undefined): OracleAccount {
    const account = this.accounts.get(id ?? '')
    if (account === undefined) throw new Error(`the oracle has no account ${id}`)
    return account
  }

  /** Money as it is now, for a chain or a call that fails; what is known is only added to, so a list of keys is enough. */
  #snapshot(): () => void {
    const money = [...this.accounts].map(([id, account]) => [id, { ...account }] as const)
    const ids = new Set(this.#known.keys())
    const ends = [...this.#known.values()].map(one => [one, one.ended] as const)
    return () => {
      for (const [id, account] of money) this.accounts.set(id, account)
      for (const id of this.#known.keys()) if (!ids.has(id)) this.#known.delete(id)
      for (const [one, ended] of ends) one.ended = ended
    }
  }

  #chain(chain: readonly Item[]): string[] {
    const single = chain.length === 1
    const undo = single ? () => undefined : this.#snapshot()
    const bodies = chain.map((item, index) =>
      this.#body(item, single ? '' : `${chain[0]?.id} ${index}/${chain.length}`),
    )
    if (chain.every((item, index) => this.#known.get(item.id)?.body === bodies[index])) {
      return chain.map(item => {
        const known = this.#known.get(item.id)
        return `*${known?.reason === undefined ? known?.amount : `!${known.reason}`}`
      })
    }
    const answers: string[] = []
    for (const [index, item] of chain.entries()) {
      const verdict = this.#decide(item)
      if ('amount' in verdict) {
        this.#keep(item, bodies[index] ?? '', verdict.amount, undefined)
        answers.push(String(verdict.amount))
        continue
      }
      undo()
      for (const [other, member] of chain.entries()) {
        const reason = other === index ? verdict.reason : 'linked-failed'
        if (verdict.kept) this.#keep(member, bodies[other] ?? '', 0, reason)
        answers[other] = `!${reason}`
      }
      break
    }
    return answers
  }

  #body({ linked: _, ...item }: Item, place: string): string {
    const flags = { balancingDebit: item.balancingDebit ?? false, balancingCredit: item.balancingCredit ?? false }
    return JSON.stringify(Object.entries({ ...item, ...flags }).sort()) + place
  }

  #keep(item: Item, body: string, amount: number, reason: string | undefined): void {
    const expiresAt = item.timeoutMs === undefined ? Number.POSITIVE_INFINITY : this.now + item.timeoutMs
    this.#known.set(item.id, { body, item, amount, reason, expiresAt, ended: undefined })
  }

  #decide(item: Item): Verdict {
    const no = (reason: string): Verdict => ({ reason, kept: !unkept.has(reason) })
    if (this.#known.has(item.id)) return no('conflict')
    if (item.pending !== undefined) return this.#resolve(item, item.pending, no)
    const debit = this.accounts.get(item.debit ?? '')
    const credit = this.accounts.get(item.credit ?? '')
    if (debit === undefined) return no('no-debit')
    if (credit === undefined) return no('no-credit')
    if (debit.currency !== credit.currency || debit.currency !== item.currency) return no('asset-differs')
    if ((item.balancingDebit && debit.limit !== 'debits') || (item.balancingCredit && credit.limit !== 'credits')) {
      return no('balancing-without-limit')
    }
    const spendable = debit.limit === 'debits' ? debit.cp - debit.dp - debit.dw : Number.POSITIVE_INFINITY
    const receivable = credit.limit === 'credits' ? credit.dp - credit.cp - credit.cw : Number.POSITIVE_INFINITY
    let amount = item.amount ?? 0
    if (item.balancingDebit) {
      if (spendable < 1) return no('exceeds-credits')
      amount = Math.min(amount, spendable)
    }
    if (item.balancingCredit) {
      if (receivable < 1) return no('exceeds-debits')
      amount = Math.min(amount, receivable)
    }
    if (amount > spendable) return no('exceeds-credits')
    if (amount > receivable) return no('exceeds-debits')
    if (item.kind === 'posted') {
      debit.dp += amount
      credit.cp += amount
    } else {
      debit.dw += amount
      credit.cw += amount
    }
    return { amount }
  }

  #resolve(item: Item, pending: string, no: (reason: string) => Verdict): Verdict {
    const held = this.#known.get(pending)
    if (held === undefined) return no('pending-not-found')
    if (held.item.kind !== 'pending' || held.reason !== undefined) return no('not-pending')
    if ((item.amount ?? 0) > held.amount) return no('exceeds-pending')
    if (held.ended === 'post') return no('already-posted')
    if (held.ended === 'void') return no('already-voided')
    if (held.ended === 'expire' || held.expiresAt <= this.now) return no('expired')
    const amount = item.amount ?? held.amount
    const debit = this.#account(held.item.debit)
    const credit = this.#account(held.item.credit)
    debit.dw -= held.amount
    credit.cw -= held.amount
    if (item.kind === 'post') {
      debit.dp += amount
      credit.cp += amount
    }
    held.ended = item.kind
    return { amount }
  }
}
