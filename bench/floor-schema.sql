-- The same order as one plpgsql call, with nothing around it: order, two lines, two conditional stock decrements, four
-- ledger rows, one outbox row. Not a product: no price rules, no idempotency, no reservation, no buyer.
create table product(id int primary key, slug text unique, name text, descr text, price int, tsv tsvector);
create table stock(sku int primary key, on_hand bigint not null, reserved bigint not null default 0, check(on_hand>=reserved)) with (fillfactor=50);
create table ord(id bigserial primary key, buyer int not null, state text not null, total bigint not null, address jsonb, created timestamptz default now());
create table ord_line(order_id bigint not null, n int not null, sku int not null, qty int not null, price bigint not null, primary key(order_id,n));
create table ledger(id bigserial primary key, order_id bigint not null, account text not null, amount bigint not null);
create table outbox(id bigserial primary key, kind text, ref bigint, body jsonb);
create index on ord(buyer);
create index on ledger(order_id);
insert into stock select g, 1000000000, 0 from generate_series(1, 1000) g;
insert into product select g, 'p-' || g, n, 'The ' || n || ' for home and office', 1000 + g, to_tsvector('english', n || ' The ' || n || ' for home and office')
  from (select g, (array['red','blue','green','fast','slow','light','heavy','solid','smart','mini','mega','ultra','silent','bright','dark'])[1 + g % 15] || ' ' ||
    (array['kettle','laptop','camera','chair','desk','bottle','jacket','phone','router','speaker','keyboard','monitor','lamp','drill','bag'])[1 + (g / 15) % 15] || ' ' || g as n
    from generate_series(1, 1000) g) s;
create index on product using gin(tsv);
create function place(b int, s1 int, s2 int) returns bigint language plpgsql as $$
declare i bigint; a int := least(s1, s2); z int := greatest(s1, s2);
begin
  insert into ord(buyer, state, total, address) values (b, 'paid', 3000, '{"city":"X","line":"1 Road"}') returning id into i;
  insert into ord_line values (i, 1, a, 1, 1000), (i, 2, z, 1, 2000);
  update stock set on_hand = on_hand - 1 where sku = a and on_hand - reserved >= 1; if not found then raise exception 'out of stock'; end if;
  if z <> a then update stock set on_hand = on_hand - 1 where sku = z and on_hand - reserved >= 1; if not found then raise exception 'out of stock'; end if; end if;
  insert into ledger(order_id, account, amount) values (i, 'buyer', -3000), (i, 'supplier', 2700), (i, 'platform', 200), (i, 'tax', 100);
  insert into outbox(kind, ref, body) values ('order.paid', i, '{"t":3000}');
  return i;
end $$;
analyze;
