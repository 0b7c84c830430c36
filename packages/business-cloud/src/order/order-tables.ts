/**
 * Tables of orders. A trade order (what the buyer sees) has one supplier order per supplier; money is booked per
 * supplier
 * order; `order_history` has one row per transition (placing is the order itself). Instants are epoch milliseconds
 * of the shop's clock, amounts minor units. `access_token` is kept as it is because
 * a repeat of `place` must get the same answer.
 */
export const orderTablesSql = `
create table trade_order (
  number text collate "C" primary key,
  state text not null,
  idempotency_key text not null unique,
  body_hash text not null,
  access_token text not null,
  party_id text,
  buyer_groups jsonb not null,
  language text not null,
  address jsonb not null,
  currency text not null,
  subtotal bigint not null,
  freight bigint not null,
  total bigint not null,
  units bigint not null,
  placed_at_ms bigint not null,
  expires_at_ms bigint not null,
  paid_at_ms bigint,
  shipment jsonb,
  constraint trade_order_valid check (subtotal >= 0 and freight >= 0 and total = subtotal + freight and units > 0
    and state in ('unpaid', 'paid', 'shipped', 'completed', 'closed', 'refunded'))
) with (fillfactor = 80);
create index trade_order_newest on trade_order (placed_at_ms);
create index trade_order_unpaid on trade_order (expires_at_ms) where state = 'unpaid';
create index trade_order_party on trade_order (party_id, placed_at_ms) where party_id is not null;
create table supplier_order (
  order_number text collate "C" not null,
  supplier text not null,
  state text not null,
  currency text not null,
  amount bigint not null,
  fee bigint not null,
  sale_transfer uuid,
  fee_transfer uuid,
  primary key (order_number, supplier),
  constraint supplier_order_valid check (fee between 0 and amount
    and (amount > 0) = (sale_transfer is not null) and (fee > 0) = (fee_transfer is not null))
) with (fillfactor = 80);
create table order_line (
  order_number text collate "C" not null,
  position int not null,
  supplier text not null,
  sku text not null,
  slug text not null,
  name jsonb not null,
  image text not null,
  quantity bigint not null,
  unit_amount bigint not null,
  adjustments jsonb not null,
  amount bigint not null,
  primary key (order_number, position),
  constraint order_line_valid check (quantity > 0 and unit_amount >= 0 and amount >= 0)
);
create table order_history (
  order_number text collate "C" not null,
  position int not null,
  transition text not null,
  from_state text not null,
  to_state text not null,
  at_ms bigint not null,
  actor text,
  note text,
  primary key (order_number, position)
);
create trigger order_line_append_only before update or delete or truncate on order_line
  for each statement execute function aaas_append_only();
create trigger order_history_append_only before update or delete or truncate on order_history
  for each statement execute function aaas_append_only();
`
