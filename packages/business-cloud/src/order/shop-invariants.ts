import type { Database, Queryable } from '@aaas/support-cloud/rdbms'
import { openLedger } from '@aaas/support-cloud/transaction'

/** Something that must never be; `subject` is the order, SKU or account, `fact` what was found. */
export interface InvariantBreach {
  readonly invariant: string
  readonly subject: string
  readonly fact: string
}

/** Each query answers rows that must not exist: subject and fact. One statement each, so each sees one snapshot. */
const queries: Readonly<Record<string, string>> = {
  'an order has the reservation of its state': `
    with wanted as (
      select o.number, o.state, l.sku, sum(l.quantity) as quantity from trade_order o
        join order_line l on l.order_number = o.number group by o.number, l.sku
    )
    select w.number || ' ' || coalesce(w.sku, '') as subject,
      w.state || ' with ' || coalesce(r.state, 'none') || ' ' || coalesce(r.quantity, 0) || ' of ' || w.quantity as fact
    from wanted w left join stock_reservation r on r.owner = w.number and r.sku = w.sku collate "C"
    where r.quantity is distinct from w.quantity or not (r.state = any (case w.state
      when 'unpaid' then array['held'] when 'paid' then array['confirmed']
      when 'closed' then array['released', 'expired']
      when 'refunded' then array['released', 'shipped'] else array['shipped'] end))`,
  'every order has lines and a supplier order of its amount': `
    select o.number as subject, o.total || ' with lines of ' || coalesce(l.amount, 0) || ' and suppliers of ' ||
      coalesce(s.amount, 0) as fact
    from trade_order o
      left join lateral (select sum(amount) as amount from order_line where order_number = o.number) l on true
      left join lateral (select sum(amount) as amount, bool_and(state = o.state) as same from supplier_order
        where order_number = o.number) s on true
    where l.amount is distinct from o.subtotal or s.amount is distinct from o.total or s.same is not true`,
  'the sum of movements is the level': `
    select coalesce(l.sku, m.sku) as subject, coalesce(l.on_hand, 0) || ' on hand, movements ' ||
      coalesce(m.quantity, 0) as fact
    from stock_level l full join (select sku, sum(quantity) as quantity from stock_movement group by sku) m using (sku)
    where coalesce(l.on_hand, 0) <> coalesce(m.quantity, 0)`,
  'reserved is the sum of live reservations': `
    select l.sku as subject, l.reserved || ' reserved, ' || coalesce(r.quantity, 0) || ' live' as fact
    from stock_level l left join (select sku, sum(quantity) as quantity from stock_reservation
      where state in ('held', 'confirmed') group by sku) r using (sku)
    where l.reserved <> coalesce(r.quantity, 0)`,
  'the transfers of a supplier order are those of its state': `
    select s.order_number as subject, s.state || ' with transfer ' || coalesce(t.kind, 'none') || ' resolved by ' ||
      coalesce(r.kind, 'none') as fact
    from supplier_order s
      join lateral (values (s.sale_transfer, s.amount), (s.fee_transfer, s.fee)) w(id, amount) on w.id is not null
      left join ledger_transfer t on t.id = w.id and t.amount = w.amount
      left join ledger_resolution r on r.pending_id = w.id
      left join lateral (select id from ledger_transfer
        where id in (order_transfer_id('refund', w.id), order_transfer_hash('refund', w.id)) limit 1) b on true
    where t.kind is distinct from 'pending' or (b.id is not null) <> (s.state = 'refunded')
      or r.kind is distinct from case s.state when 'unpaid' then null when 'closed' then 'void' else 'post' end`,
  'no order is paid twice': `
    select order_number as subject, count(*) || ' payments' as fact from order_history where transition = 'pay'
    group by order_number having count(*) > 1`,
  'the history of an order ends in its state': `
    select o.number as subject, o.state || ', history ends ' || coalesce(h.to_state, 'nowhere') as fact
    from trade_order o left join lateral (
      select to_state from order_history where order_number = o.number order by position desc limit 1) h on true
    where coalesce(h.to_state, 'unpaid') <> o.state`,
}

/**
 * Checks what must be true of a shop at any moment, also while it sells. Reads whole tables: for checks, not for pages.
 * @returns at most 20 breaches of each invariant; empty when all is well.
 */
export async function checkShopInvariants(database: Database): Promise<readonly InvariantBreach[]> {
  const found: InvariantBreach[] = []
  for (const [invariant, text] of Object.entries(queries)) found.push(...(await breaches(database, invariant, text)))
  const { balanced, difference, wrongAccounts } = await openLedger({ database }).check()
  if (!balanced) {
    found.push({ invariant: 'the ledger balances', subject: wrongAccounts.join(' '), fact: `difference ${difference}` })
  }
  return found
}

async function breaches(on: Queryable, invariant: string, text: string): Promise<InvariantBreach[]> {
  const rows = await on.query<{ subject: string; fact: string }>({ text: `${text} limit 20` })
  return rows.map(row => ({ invariant, ...row }))
}
