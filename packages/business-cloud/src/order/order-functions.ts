/**
 * One transition, one call in one transaction. Locks are taken in one order everywhere: order, stock in order of SKU,
 * ledger accounts. Stock before ledger: a queue at a popular SKU holds no account.
 *
 * `order_transition` answers `{applied, state, from?, reason?}` and raises nothing but what cannot be: its caller may
 * want to go on in the same transaction. `reason` is unknown, state, amount or expired.
 */
export const orderFunctionsSql = `
-- An id that is the same for every repeat, from the transfer it belongs to and what is done to it.
create function order_transfer_id(p_purpose text, p_transfer uuid) returns uuid language sql immutable as $fn$
  select md5(p_purpose || ':' || p_transfer)::uuid
$fn$;

create function order_book(p_number text, p_effect text, p_accounts jsonb) returns void language plpgsql as $fn$
declare
  transfers jsonb;
begin
  if p_effect in ('post', 'void') then
    select jsonb_agg(jsonb_build_object('kind', p_effect, 'id', order_transfer_id(p_effect, t.pending), 'pending',
      t.pending,
      'ref', p_number) order by t.pending) into transfers
    from supplier_order s, lateral (values (s.sale_transfer), (s.fee_transfer)) t(pending)
    where s.order_number = p_number and t.pending is not null;
  else
    select jsonb_agg(jsonb_build_object('kind', 'posted', 'id', order_transfer_id('refund', t.source), 'debit',
      p_accounts->>t.debit,
      'credit', p_accounts->>t.credit, 'amount', t.amount, 'currency', s.currency, 'code', t.code, 'ref', p_number)
        order by t.source)
      into transfers
    from supplier_order s, lateral (values (s.sale_transfer, 'revenue', 'refundsDue', s.amount, 'refund'),
      (s.fee_transfer, 'fees', 'revenue', s.fee, 'fee-refund')) t(source, debit, credit, amount, code)
    where s.order_number = p_number and t.source is not null;
  end if;
  if transfers is not null then perform ledger_apply(transfers); end if;
end $fn$;

create function order_transition(p jsonb) returns jsonb language plpgsql as $fn$
declare
  o trade_order%rowtype;
  edge jsonb;
  v_at bigint := (p->>'at')::bigint;
begin
  select * into o from trade_order where number = p->>'number' for no key update;
  if not found then return jsonb_build_object('applied', false, 'reason', 'unknown'); end if;
  select e into edge from jsonb_array_elements(p->'edges') e where e->>'from' = o.state;
  if edge is null then return jsonb_build_object('applied', false, 'reason', 'state', 'state', o.state); end if;
  if edge->>'guard' = 'amount' and (p->>'amount')::bigint is distinct from o.total then
    return jsonb_build_object('applied', false, 'reason', 'amount', 'state', o.state);
  elsif edge->>'guard' = 'expired' and o.expires_at_ms > v_at then
    return jsonb_build_object('applied', false, 'reason', 'expired', 'state', o.state);
  end if;
  update trade_order set state = edge->>'to',
    paid_at_ms = case when edge->>'to' = 'paid' then coalesce((p->>'paidAt')::bigint, v_at) else paid_at_ms end,
    shipment = coalesce(p->'shipment', shipment)
  where number = o.number;
  update supplier_order set state = edge->>'to' where order_number = o.number;
  insert into order_history (order_number, position, transition, from_state, to_state, at_ms, actor, note)
  select o.number, count(*) + 1, p->>'transition', o.state, edge->>'to', v_at, p->>'actor', p->>'note'
  from order_history where order_number = o.number;
  insert into aaas_outbox (event_id, topic, key, payload)
  select (p->>'eventId')::uuid, 'order.' || (edge->>'event'), o.number, jsonb_build_object('number', o.number,
    'state', edge->>'to', 'total', o.total, 'currency', o.currency, 'at', v_at,
    'buyer', jsonb_strip_nulls(jsonb_build_object('partyId', o.party_id, 'groups', o.buyer_groups)),
    'lines', jsonb_agg(jsonb_build_object('sku', l.sku, 'quantity', l.quantity, 'amount', l.amount) order by
      l.position))
  from order_line l where l.order_number = o.number;
  case edge->>'stock'
    when 'confirm' then perform stock_confirm(o.number);
    when 'release' then perform stock_release(o.number, 'released');
    when 'expire' then perform stock_release(o.number, 'expired');
    when 'ship' then perform stock_ship(o.number);
    else null;
  end case;
  if edge->>'ledger' <> 'none' then perform order_book(o.number, edge->>'ledger', p->'accounts'); end if;
  return jsonb_build_object('applied', true, 'from', o.state, 'state', edge->>'to');
end $fn$;
`

/**
 * From here on the transfers of an order carry the time of what they belong to, and so lie in its month and can be archived
 * with it: the first 48 bits of a UUID of version 7 are its time, the rest is the hash. Where that month is in the archive
 * already, or was never told, the id has none (version 8). An order moves on once, so nothing is asked under an id of
 * before; what was booked under one is found by `order_transfer_hash`.
 */
export const orderTimedIdsSql = `
create function order_transfer_hash(p_purpose text, p_transfer uuid) returns uuid language sql immutable as $fn$
  select md5(p_purpose || ':' || p_transfer)::uuid
$fn$;

create or replace function order_transfer_id(p_purpose text, p_transfer uuid) returns uuid language sql stable as $fn$
  select case when substr(p_transfer::text, 15, 1) = '7' and (p_transfer < ledger_horizon()) is not true
    then left(replace(p_transfer::text, '-', ''), 12) || '7' || left(h, 3) || '8' || substr(h, 4, 15)
    else left(h, 12) || '8' || substr(h, 14, 3) || '8' || substr(h, 18) end::uuid
  from md5(p_purpose || ':' || p_transfer) h
$fn$;
`
