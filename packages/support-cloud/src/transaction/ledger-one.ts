/** What both balances have, read under their locks. */
const held = `d.limits, c.limits, d.credits_posted - d.debits_posted, c.credits_posted - c.debits_posted,
      d.debits_pending, c.credits_pending, d.version, c.version, greatest(d.entry_at, c.entry_at),
      greatest(d.debits_posted + d.debits_pending, c.credits_posted + c.credits_pending)`
const heldInto = `v_dlimits, v_climits, v_dbalance, v_cbalance, v_dwait, v_cwait, v_dversion, v_cversion, v_at, v_most`

/** One statement that finds the accounts and locks their balances, in the order in which it names them. */
const newSql = (order: string): string => `
      select d.shard, c.shard, ${held} into v_dshard, v_cshard, ${heldInto}
      from ledger_account da, ledger_account ca, ledger_balance d, ledger_balance c
      where da.id = v_debit and ca.id = v_credit and da.currency = v_currency and ca.currency = v_currency
        and ca.scale = da.scale and d.account = v_debit and d.shard = v_seed % da.shards
        and c.account = v_credit and c.shard = v_seed % ca.shards
      for update of ${order};`

const endSql = (order: string): string => `
      select ${held} into ${heldInto} from ledger_balance d, ledger_balance c
      where d.account = v_debit and d.shard = v_dshard and c.account = v_credit and c.shard = v_cshard
      for update of ${order};`

/**
 * `ledger_one` does what most calls of one transfer need: one that is plain, new, and that nothing refuses. It answers
 * null, and has written nothing, whenever it meets anything else: `ledger_many` then decides. So it has no rules of its
 * own, only what must be plainly so. Few statements on purpose: starting one costs more than its rows do. For the same
 * reason there is one setting only: without statistics an index could lose against reading a table that was small.
 */
export const ledgerOneSql = `
-- @returns the amount; null when it is not plain.
create or replace function ledger_one(p_item jsonb) returns bigint language plpgsql set enable_seqscan = off as $fn$
declare
  v_id uuid := p_item->>'id';
  v_seed int := hashtext(p_item->>'id') & 2147483647;
  v_kind text := p_item->>'kind';
  v_pending uuid := p_item->>'pending';
  v_debit text := p_item->>'debit';
  v_credit text := p_item->>'credit';
  v_given bigint := p_item->>'amount';
  v_currency text := p_item->>'currency';
  v_code text := p_item->>'code';
  v_other text; v_amount bigint; v_wait bigint := 0; v_dshard smallint; v_cshard smallint;
  v_dversion bigint; v_cversion bigint; v_dbalance bigint; v_cbalance bigint; v_most bigint;
  v_dlimits smallint; v_climits smallint; v_dwait bigint; v_cwait bigint;
  v_at timestamptz; v_reason text; v_expires timestamptz;
begin
  if v_id < ledger_horizon() or p_item ?| array['linked', 'timeoutMs', 'balancingDebit', 'balancingCredit'] then
    return null;
  end if;
  if v_kind = 'posted' or v_kind = 'pending' then
    if (v_pending is null and v_given between 1 and 1000000000000000 and v_code is not null and v_debit <> v_credit)
      is not true then
      return null;
    end if;
    v_amount := v_given;
    if v_debit < v_credit collate "C" then${newSql('d, c')}
    else${newSql('c, d')}
    end if;
    -- False too when there was nothing to find.
    if (v_most + v_amount <= 9007199254740991) is not true
      or v_dlimits = 1 and v_amount > v_dbalance - v_dwait or v_climits = 2 and v_amount > -v_cbalance - v_cwait then
      return null;
    end if;
    v_at := greatest(v_at, ledger_now());
    if v_kind = 'pending' then v_wait := v_amount; end if;
  elsif v_kind = 'post' or v_kind = 'void' then
    if v_debit is not null or v_credit is not null then return null; end if;
    select kind, reason, debit, credit, debit_shard, credit_shard, currency, code, amount, expires_at
    into v_other, v_reason, v_debit, v_credit, v_dshard, v_cshard, v_currency, v_code, v_amount, v_expires
    from ledger_transfer where id = v_pending;
    if (v_other = 'pending' and v_reason is null) is not true then return null; end if;
    v_wait := -v_amount;
    if v_given is not null then
      if v_kind = 'void' or v_given not between 1 and v_amount then return null; end if;
      v_amount := v_given;
    end if;
    if v_debit < v_credit collate "C" then${endSql('d, c')}
    else${endSql('c, d')}
    end if;
    v_at := greatest(v_at, ledger_now());
    if v_expires <= v_at or exists (select from ledger_resolution where pending_id = v_pending) then
      return null;
    end if;
  else
    return null;
  end if;
  -- Whether the id is known shows here, before anything else is written.
  insert into ledger_transfer (id, created_at, amount, requested, pending_id, debit_shard, credit_shard, kind, debit,
    credit, currency, code, ref)
  values (v_id, v_at, v_amount, case when v_given is null then 0 end, v_pending, v_dshard, v_cshard, v_kind, v_debit,
    v_credit, v_currency, v_code, p_item->>'ref')
  on conflict do nothing;
  if not found then return null; end if;
  if v_pending is not null then
    insert into ledger_resolution (pending_id, kind, transfer_id, created_at) values (v_pending, v_kind, v_id, v_at);
  end if;
  if v_kind = 'posted' or v_kind = 'post' then
    update ledger_balance b set version = b.version + 1, entry_at = v_at, debits_posted = b.debits_posted + x.dp,
      credits_posted = b.credits_posted + x.cp, debits_pending = b.debits_pending + x.dw,
      credits_pending = b.credits_pending + x.cw
    from (values (v_debit, v_dshard, v_amount, 0::bigint, v_wait, 0::bigint),
      (v_credit, v_cshard, 0, v_amount, 0, v_wait)) x(account, shard, dp, cp, dw, cw)
    where b.account = x.account collate "C" and b.shard = x.shard;
    insert into ledger_entry (account, shard, version, at, transfer_id, amount, balance) values
      (v_debit, v_dshard, v_dversion + 1, v_at, v_id, -v_amount, v_dbalance - v_amount),
      (v_credit, v_cshard, v_cversion + 1, v_at, v_id, v_amount, v_cbalance + v_amount);
  else
    update ledger_balance b set entry_at = v_at, debits_pending = b.debits_pending + x.dw,
      credits_pending = b.credits_pending + x.cw
    from (values (v_debit, v_dshard, v_wait, 0::bigint), (v_credit, v_cshard, 0, v_wait)) x(account, shard, dw, cw)
    where b.account = x.account collate "C" and b.shard = x.shard;
  end if;
  return v_amount;
end $fn$;
`
