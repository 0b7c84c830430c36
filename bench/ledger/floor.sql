-- What a transfer costs at least: dedup, locks in one order, a limit, two balances, two entries. No results for each
-- transfer, no pending ones, no chains, no assets, nothing kept of a rejection, no running balance.
create table floor_account (
  id int primary key, balance bigint not null check (balance >= low), low bigint not null default 0
) with (fillfactor = 50);
create table floor_transfer (
  id uuid primary key, debit int not null, credit int not null, amount bigint not null check (amount > 0),
  at timestamptz not null default now()
);
create table floor_entry (
  seq bigint generated always as identity, transfer uuid not null, account int not null, amount bigint not null
);
create index on floor_entry (account, seq);

create function floor_one(p_id uuid, p_debit int, p_credit int, p_amount bigint) returns text language plpgsql as $fn$
begin
  insert into floor_transfer (id, debit, credit, amount) values (p_id, p_debit, p_credit, p_amount)
    on conflict do nothing;
  if not found then return 'exists'; end if;
  perform 1 from floor_account where id in (p_debit, p_credit) order by id for update;
  update floor_account set balance = balance - p_amount where id = p_debit and balance - p_amount >= low;
  if not found then
    delete from floor_transfer where id = p_id;
    return 'insufficient';
  end if;
  update floor_account set balance = balance + p_amount where id = p_credit;
  insert into floor_entry (transfer, account, amount) values (p_id, p_debit, -p_amount), (p_id, p_credit, p_amount);
  return 'ok';
end $fn$;

create function floor_batch(ids uuid[], debits int[], credits int[], amounts bigint[]) returns int
language plpgsql as $fn$
declare
  fresh int;
begin
  insert into floor_transfer (id, debit, credit, amount) select * from unnest(ids, debits, credits, amounts)
    on conflict do nothing;
  get diagnostics fresh = row_count;
  if fresh < cardinality(ids) then raise exception 'the floor knows new ids only'; end if;
  perform 1 from floor_account where id = any (debits || credits) order by id for update;
  update floor_account a set balance = balance + x.amount
  from (select account, sum(amount) as amount from (
      select d as account, -m as amount from unnest(debits, amounts) t(d, m)
      union all select c, m from unnest(credits, amounts) t(c, m)) y group by account) x
  where a.id = x.account;
  insert into floor_entry (transfer, account, amount)
  select id, account, amount from unnest(ids, debits, credits, amounts) t(id, d, c, m),
    lateral (values (d, -m), (c, m)) v(account, amount);
  return fresh;
end $fn$;
