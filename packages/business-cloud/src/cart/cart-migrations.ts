import type { MigrationSet } from '@aaas/support-cloud/rdbms'

/** SQLSTATE by which the functions below say that a limit was reached. */
export const limitState = 'CA001'
export const maxLines = 100
export const maxUnits = 999

// One function a call: one round trip, and the row lock on the cart keeps the limits under concurrent calls.
// `id` is a hash: whoever reads the table cannot use the carts. Times are epoch milliseconds of the caller's clock.
const schema = `
create table cart (
  id text primary key,
  touched_at bigint not null
);
create index cart_touched on cart (touched_at);
create table cart_line (
  cart text not null references cart (id) on delete cascade,
  sku text not null,
  quantity int not null check (quantity between 1 and ${maxUnits}),
  ordinal bigint generated always as identity,
  primary key (cart, sku)
);

create function cart_change(the_cart text, the_sku text, units int, adds boolean, now_ms bigint)
returns table (sku text, quantity int) language plpgsql as $$
#variable_conflict use_column
begin
  insert into cart (id, touched_at) values (the_cart, now_ms)
    on conflict (id) do update set touched_at = greatest(cart.touched_at, excluded.touched_at);
  if units = 0 and not adds then
    delete from cart_line where cart = the_cart and sku = the_sku;
  else
    begin
      insert into cart_line as l (cart, sku, quantity) values (the_cart, the_sku, units)
        on conflict (cart, sku) do update set quantity = excluded.quantity + case when adds then l.quantity else 0 end;
    exception when check_violation then
      raise exception 'units' using errcode = '${limitState}';
    end;
    if (select count(*) from cart_line where cart = the_cart) > ${maxLines} then
      raise exception 'lines' using errcode = '${limitState}';
    end if;
  end if;
  return query select l.sku, l.quantity from cart_line l where l.cart = the_cart order by l.ordinal;
end $$;

create function cart_merge(source text, target text, now_ms bigint)
returns table (sku text, quantity int) language plpgsql as $$
#variable_conflict use_column
begin
  -- Both rows are made or locked in one order, so that two merges that cross cannot wait for each other.
  insert into cart (id, touched_at) select id, now_ms from unnest(array[source, target]) as both_carts (id) order by id
    on conflict (id) do update set touched_at = greatest(cart.touched_at, excluded.touched_at);
  insert into cart_line as l (cart, sku, quantity)
    select target, s.sku, s.quantity from cart_line s where s.cart = source order by s.ordinal
    on conflict (cart, sku) do update set quantity = least(l.quantity + excluded.quantity, ${maxUnits});
  delete from cart where id = source;
  delete from cart_line where cart = target and ordinal in (
    select ordinal from cart_line where cart = target order by ordinal offset ${maxLines});
  return query select l.sku, l.quantity from cart_line l where l.cart = target order by l.ordinal;
end $$;
`

export const cartMigrations: MigrationSet = {
  owner: 'business-cloud/cart',
  migrations: [{ level: 1, name: 'cart', up: schema }],
}
