/**
 * Checkout of many orders that came together, in one transaction: one call, one commit. Each order is all or nothing by
 * itself: one whose key was used, or whose stock is short, stays out and does not touch the others. Whatever else goes
 * wrong is raised and undoes them all: the caller then places each one alone.
 *
 * Keys must differ within a call. They are claimed in one order, before stock and ledger (see `order_transition`), so
 * that calls never wait for each other in a circle.
 *
 * `orders_place` takes, besides the orders, what belongs to all of them in flat lists whose rows name their order, so
 * that each list is read once. It answers the orders that were not placed, as `[{number, ...}]`: `{earlier: true}`
 * where the key stands for another order, or `{lacks, unknown}`, the SKU whose stock is short, or that has none at all.
 */
export const placeFunctionSql = `
create function orders_place(p_orders jsonb, p_lines jsonb, p_suppliers jsonb, p_transfers jsonb) returns jsonb
language plpgsql set enable_seqscan = off as $fn$
declare
  made text[];
  refused text[];
  excuses jsonb := '[]';
  short jsonb;
begin
  with inserted as (
    insert into trade_order (number, state, idempotency_key, body_hash, access_token, party_id, buyer_groups, language,
      address, currency, subtotal, freight, total, units, placed_at_ms, expires_at_ms)
    select n.number, 'unpaid', n.key, n.hash, n.token, n.party, n.groups, n.language, n.address, n.currency, n.subtotal,
      n.freight, n.total, n.units, n.at, n.expires
    from jsonb_to_recordset(p_orders) as n(number text, key text, hash text, token text, party text, groups jsonb,
      language text, address jsonb, currency text, subtotal bigint, freight bigint, total bigint, units bigint,
      at bigint, expires bigint)
    order by n.key
    on conflict (idempotency_key) do nothing
    returning number
  )
  select coalesce(array_agg(number), '{}') into made from inserted;
  if cardinality(made) < jsonb_array_length(p_orders) then
    select jsonb_agg(jsonb_build_object('number', n.number, 'earlier', true)) into excuses
    from jsonb_to_recordset(p_orders) as n(number text) where n.number <> all (made);
    if cardinality(made) = 0 then return excuses; end if;
    select jsonb_agg(line) into p_lines from jsonb_array_elements(p_lines) line where line->>'owner' = any (made);
  end if;
  select array_agg(h.refused),
    jsonb_agg(jsonb_build_object('number', h.refused, 'lacks', h.lacks, 'unknown', h.unknown))
  into refused, short from stock_hold(p_lines, null) h;
  if refused is not null then
    delete from trade_order where number = any (refused);
    excuses := excuses || short;
    select array_agg(number) into made from unnest(made) number where number <> all (refused);
    if made is null then return excuses; end if;
  end if;
  with lines as (
    insert into order_line (order_number, position, supplier, sku, slug, name, image, quantity, unit_amount,
      adjustments, amount)
    select l.owner, l.position, l.supplier, l.sku, l.slug, l.name, l.image, l.quantity, l."unitAmount", l.adjustments,
      l.amount
    from jsonb_to_recordset(p_lines) as l(owner text, position int, supplier text, sku text, slug text, name jsonb,
      image text, quantity bigint, "unitAmount" bigint, adjustments jsonb, amount bigint)
    where l.owner = any (made)
  ), suppliers as (
    insert into supplier_order (order_number, supplier, state, currency, amount, fee, sale_transfer, fee_transfer)
    select s.owner, s.supplier, 'unpaid', s.currency, s.amount, s.fee, s.sale, s.fee_id
    from jsonb_to_recordset(p_suppliers) as s(owner text, supplier text, currency text, amount bigint, fee bigint,
      sale uuid, fee_id uuid)
    where s.owner = any (made)
  )
  insert into aaas_outbox (event_id, topic, key, payload)
  select n."eventId", 'order.placed', n.number, n.event
  from jsonb_to_recordset(p_orders) as n(number text, "eventId" uuid, event jsonb)
  where n.number = any (made);
  if cardinality(made) < jsonb_array_length(p_orders) then
    select coalesce(jsonb_agg(t), '[]') into p_transfers from jsonb_array_elements(p_transfers) t
    where t->>'ref' = any (made);
  end if;
  if jsonb_array_length(p_transfers) > 0 then perform ledger_apply(p_transfers); end if;
  return excuses;
end $fn$;
`
