import type { MigrationSet } from '@aaas/support-cloud/rdbms'

/**
 * Stock as SQL. The level of a SKU is one row; its CHECK refuses to oversell whatever the code above does. Every
 * change of
 * `on_hand` has its movement in the same transaction, so that the sum of movements is the level at any time;
 * `reserved` is
 * the sum of live reservations: to reserve moves no goods.
 * Rows of a call are always touched in the order of their SKU (collation C): two orders never wait in a circle.
 * A reservation without `expires_at_ms` lives until its owner ends it: an order's life decides, not the sweep.
 * SQLSTATEs: ST001 sold out (DETAIL: SKU), ST002 unknown SKU (DETAIL: SKU), ST003 reservation in another state
 * (DETAIL: owner), ST004 movement id used with another content.
 */
const stockSql = `
create table stock_level (
  sku text collate "C" primary key,
  on_hand bigint not null,
  reserved bigint not null default 0,
  constraint stock_level_available check (reserved between 0 and on_hand)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
create table stock_reservation (
  owner text not null,
  sku text collate "C" not null,
  quantity bigint not null,
  state text not null,
  expires_at_ms bigint,
  primary key (owner, sku),
  constraint stock_reservation_valid
    check (quantity > 0 and state in ('held', 'confirmed', 'shipped', 'released', 'expired'))
) with (fillfactor = 80);
create index stock_reservation_expiry on stock_reservation (expires_at_ms) where state = 'held' and expires_at_ms is
  not null;
create table stock_movement (
  id bigint generated always as identity primary key,
  sku text collate "C" not null,
  quantity bigint not null,
  kind text not null check (kind in ('initial', 'adjust', 'ship')),
  ref text not null,
  reason text,
  at timestamptz not null default now()
);
create unique index stock_movement_adjust on stock_movement (ref) where kind = 'adjust';
create trigger stock_movement_append_only before update or delete or truncate on stock_movement
  for each statement execute function aaas_append_only();

-- Holds the lines of many owners, each owner's all or none: lines are [{owner, sku, quantity}], and where stock is
-- short whoever comes first in them is served first. Answers the owners that got nothing, with the SKU that stopped
-- them.
-- An owner that holds something already violates the primary key: nothing is held then.
-- Plans of connections may be from when the table was empty: arrays and the setting leave index look-ups only.
create function stock_hold(p_lines jsonb, p_expires_at_ms bigint)
returns table (refused text, lacks text, unknown boolean) language plpgsql set enable_seqscan = off as $fn$
declare
  skus text[];
  quantities bigint[];
  enough boolean;
  losers jsonb := '[]';
begin
  select array_agg(w.sku order by w.sku), array_agg(w.quantity order by w.sku) into skus, quantities
  from (select l.sku, sum(l.quantity)::bigint as quantity
    from jsonb_to_recordset(p_lines) as l(sku text collate "C", quantity bigint) group by l.sku) w;
  -- All rows are locked before one is changed: what was seen to be enough stays enough.
  select count(*) = cardinality(skus) and bool_and(h.available >= quantities[array_position(skus, h.sku)]) into enough
  from (select sku, on_hand - reserved as available from stock_level where sku = any (skus) order by sku
    for no key update) h;
  if not enough then
    losers := stock_losers(p_lines, skus);
    select jsonb_agg(l.line) into p_lines from jsonb_array_elements(p_lines) with ordinality l(line, position)
    where not exists (select from jsonb_array_elements(losers) r where r->>'owner' = l.line->>'owner');
    select array_agg(w.sku), array_agg(w.quantity) into skus, quantities
    from (select l.sku, sum(l.quantity)::bigint as quantity
      from jsonb_to_recordset(p_lines) as l(sku text, quantity bigint) group by l.sku) w;
  end if;
  with held as (
    insert into stock_reservation (owner, sku, quantity, state, expires_at_ms)
    select l.owner, l.sku, sum(l.quantity), 'held', p_expires_at_ms
    from jsonb_to_recordset(p_lines) as l(owner text collate "C", sku text collate "C", quantity bigint)
    group by l.owner, l.sku
  )
  update stock_level s set reserved = s.reserved + quantities[array_position(skus, s.sku)] where s.sku = any (skus);
  if not enough then
    return query select r.owner, r.sku, r.unknown
    from jsonb_to_recordset(losers) as r(owner text, sku text, unknown boolean);
  end if;
end $fn$;

-- Who gets nothing when there is too little for all: [{owner, sku, unknown}]. The rows of the SKUs are locked.
create function stock_losers(p_lines jsonb, p_skus text[]) returns jsonb language plpgsql
set enable_seqscan = off as $fn$
declare
  available jsonb;
  one record;
  lack record;
  losers jsonb := '[]';
begin
  select coalesce(jsonb_object_agg(sku, on_hand - reserved), '{}') into available from stock_level
  where sku = any (p_skus);
  for one in
    select owner, array_agg(sku) as skus, array_agg(quantity) as quantities from (
      select line->>'owner' as owner, line->>'sku' as sku, sum((line->>'quantity')::bigint) as quantity,
        min(position) as position
      from jsonb_array_elements(p_lines) with ordinality l(line, position) group by 1, 2) summed
    group by owner order by min(position)
  loop
    select w.sku, available->w.sku is null as unknown into lack
    from unnest(one.skus, one.quantities) as w(sku, quantity)
    where coalesce((available->>w.sku)::bigint, 0) < w.quantity order by w.sku collate "C" limit 1;
    if found then
      losers := losers || jsonb_build_object('owner', one.owner, 'sku', lack.sku, 'unknown', lack.unknown);
    else
      select available || jsonb_object_agg(w.sku, (available->>w.sku)::bigint - w.quantity) into available
      from unnest(one.skus, one.quantities) as w(sku, quantity);
    end if;
  end loop;
  return losers;
end $fn$;

create function stock_reserve(p_owner text, lines jsonb, p_expires_at_ms bigint) returns void language plpgsql as $fn$
declare
  lack record;
begin
  select * into lack from stock_hold((select jsonb_agg(line || jsonb_build_object('owner', p_owner))
    from jsonb_array_elements(lines) line), p_expires_at_ms);
  if not found then return; end if;
  if lack.unknown then
    raise exception 'no stock level of %', lack.lacks using errcode = 'ST002', detail = lack.lacks;
  end if;
  raise exception 'not enough stock of %', lack.lacks using errcode = 'ST001', detail = lack.lacks;
end $fn$;

-- held -> confirmed for every line of the owner, or an error.
create function stock_confirm(p_owner text) returns void language plpgsql as $fn$
begin
  update stock_reservation set state = 'confirmed' where owner = p_owner and state = 'held';
  if not found or exists (select from stock_reservation where owner = p_owner and state <> 'confirmed') then
    raise exception 'the stock of % is not held', p_owner using errcode = 'ST003', detail = p_owner;
  end if;
end $fn$;

-- Gives held or confirmed stock back; p_state is what the reservation becomes: released or expired.
create function stock_release(p_owner text, p_state text) returns void language plpgsql as $fn$
declare
  line record;
  states text[];
begin
  select array_agg(state) into states
  from (select state from stock_reservation where owner = p_owner order by sku for update) locked;
  if states is null or not states <@ array['held', 'confirmed'] then
    raise exception 'the stock of % is not held', p_owner using errcode = 'ST003', detail = p_owner;
  end if;
  update stock_reservation set state = p_state where owner = p_owner;
  for line in select sku, quantity from stock_reservation where owner = p_owner order by sku loop
    update stock_level set reserved = reserved - line.quantity where sku = line.sku;
  end loop;
end $fn$;

-- confirmed -> shipped: the goods leave the shelf.
create function stock_ship(p_owner text) returns void language plpgsql as $fn$
declare
  line record;
begin
  for line in update stock_reservation set state = 'shipped' where owner = p_owner and state = 'confirmed'
      returning sku, quantity loop
    insert into stock_movement (sku, quantity, kind, ref) values (line.sku, -line.quantity, 'ship', p_owner);
  end loop;
  if not found or exists (select from stock_reservation where owner = p_owner and state <> 'shipped') then
    raise exception 'the stock of % is not confirmed', p_owner using errcode = 'ST003', detail = p_owner;
  end if;
  for line in select sku, quantity from stock_reservation where owner = p_owner order by sku loop
    update stock_level set on_hand = on_hand - line.quantity, reserved = reserved - line.quantity where sku = line.sku;
  end loop;
end $fn$;

-- Releases one reservation whose time is over; false when there is none. One owner a transaction: two would break the
-- order of SKUs.
create function stock_expire(p_now_ms bigint) returns boolean language plpgsql as $fn$
declare
  late text;
begin
  select owner into late from stock_reservation where state = 'held' and expires_at_ms <= p_now_ms
  order by expires_at_ms limit 1 for update skip locked;
  if late is null then return false; end if;
  perform stock_release(late, 'expired');
  return true;
end $fn$;

create function stock_adjust(p_ref text, p_sku text, p_delta bigint, p_reason text) returns void language plpgsql as
  $fn$
begin
  insert into stock_movement (sku, quantity, kind, ref, reason) values (p_sku, p_delta, 'adjust', p_ref, p_reason)
  on conflict (ref) where kind = 'adjust' do nothing;
  if not found then
    perform from stock_movement where kind = 'adjust' and ref = p_ref and sku = p_sku and quantity = p_delta;
    if found then return; end if;
    raise exception 'movement % exists with another content', p_ref using errcode = 'ST004', detail = p_ref;
  end if;
  update stock_level set on_hand = on_hand + p_delta where sku = p_sku and on_hand + p_delta >= reserved;
  if not found then
    perform from stock_level where sku = p_sku;
    if found then
      raise exception 'less than the reserved stock of % would be left', p_sku using errcode = 'ST001', detail = p_sku;
    end if;
    raise exception 'no stock level of %', p_sku using errcode = 'ST002', detail = p_sku;
  end if;
end $fn$;
`

/** Needs the transaction service's migrations before. */
export const inventoryMigrations: MigrationSet = {
  owner: 'business-cloud/inventory',
  migrations: [{ level: 1, name: 'stock', up: stockSql }],
}
