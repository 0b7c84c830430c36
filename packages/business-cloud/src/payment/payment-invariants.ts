import type { InvariantBreach } from '@aaas/business-cloud/order'
import type { Database } from '@aaas/support-cloud/rdbms'

const queries: Readonly<Record<string, string>> = {
  'a payment is in a state that its order allows': `
    select p.payment_id as subject, p.state || ', order ' || coalesce(o.state, 'missing') as fact
    from order_payment p left join trade_order o on o.number = p.order_number
    where not coalesce(case p.state when 'paid' then o.state in ('paid', 'shipped', 'completed')
      when 'refunding' then o.state in ('closed', 'refunded') when 'refunded' then o.state not in ('paid',
        'shipped', 'completed')
      else o.state in ('unpaid', 'closed') or p.state = 'mismatch' end, false)`,
  'a paid order has its money': `
    select o.number as subject, o.state || ', payment ' || coalesce(p.state, 'missing') as fact
    from trade_order o left join order_payment p on p.order_number = o.number
    where o.total > 0 and (o.state in ('paid', 'shipped', 'completed') and p.state is distinct from 'paid'
      or o.state = 'refunded' and coalesce(p.state, '') not in ('refunding', 'refunded'))`,
  'what is owed to buyers is what is being refunded': `
    select b.account as subject, b.owed || ' owed, ' || p.amount || ' being refunded' as fact
    from (select account, sum(credits_posted - debits_posted) as owed from ledger_balance
        where account = 'buyers:refunds-due' group by account) b,
      (select coalesce(sum(amount), 0) as amount from order_payment where state = 'refunding') p
    where b.owed <> p.amount`,
}

/**
 * Checks payments against orders and books; beside `checkShopInvariants`. @returns at most 20 breaches of each
 * invariant.
 */
export async function checkPaymentInvariants(database: Database): Promise<readonly InvariantBreach[]> {
  const found: InvariantBreach[] = []
  for (const [invariant, text] of Object.entries(queries)) {
    const rows = await database.query<{ subject: string; fact: string }>({ text: `${text} limit 20` })
    found.push(...rows.map(row => ({ invariant, ...row })))
  }
  return found
}
