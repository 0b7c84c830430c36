/**
 * `ledger_one` does what most calls of one transfer need: one that is plain, new, and that nothing refuses. It answers
 * null, and has written nothing, whenever it meets anything else: `ledger_many` then decides. So it has no rules of its
 * own, only what must be plainly so. Scalar variables on purpose: starting set operations costs more than all of this.
 */
export const ledgerOneSql = `
-- @returns the amount; null when it is not plain.
create function ledger_one(p_item jsonb) returns bigint language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $fn$
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
  v_other text; v_amount bigint; v_moved bigint; v_wait bigint; v_dshard smallint; v_cshard smallint;
  v_scale smallint; v_scale2 smallint; v_dversion bigint; v_cversion bigint; v_dbalance bigint; v_cbalance bigint;
  v_dlimits smallint; v_climits smallint; v_dwait bigint; v_cwait bigint; v_dat timestamptz; v_cat timestamptz;
  v_at timestamptz; v_reason text; v_expires timestamptz;
begin
  if v_id < ledger_horizon() or p_item ?| array['linked', 'timeoutMs', 'balancingDebit', 'balancingCredit'] then
    return null;
  end if;
  if v_kind = 'posted' or v_kind = 'pending' then
    if (v_pending is null and v_given between 1 and 1000000000000000 and v_code is not null) is not true then
      return null;
    end if;
    v_amount := v_given;
    select currency, scale, v_seed % shards into v_other, v_scale, v_dshard from ledger_account where id = v_debit;
    if v_other is distinct from v_currency then return null; end if;
    select currency, scale, v_seed % shards into v_other, v_scale2, v_cshard from ledger_account where id = v_credit;
    if v_other is distinct from v_currency or v_scale <> v_scale2 or v_debit = v_credit then return null; end if;
    v_wait := case v_kind when 'pending' then v_amount else 0 end;
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
  else
    return null;
  end if;
  if v_debit < v_credit collate "C" then
    select limits, credits_posted - debits_posted, debits_pending, entry_at
    into v_dlimits, v_dbalance, v_dwait, v_dat from ledger_balance where account = v_debit and shard = v_dshard for update;
    select limits, credits_posted - debits_posted, credits_pending, entry_at
    into v_climits, v_cbalance, v_cwait, v_cat from ledger_balance where account = v_credit and shard = v_cshard for update;
  else
    select limits, credits_posted - debits_posted, credits_pending, entry_at
    into v_climits, v_cbalance, v_cwait, v_cat from ledger_balance where account = v_credit and shard = v_cshard for update;
    select limits, credits_posted - debits_posted, debits_pending, entry_at
    into v_dlimits, v_dbalance, v_dwait, v_dat from ledger_balance where account = v_debit and shard = v_dshard for update;
  end if;
  v_at := greatest(v_dat, v_cat, ledger_now());
  if v_pending is null then
    if v_dlimits = 1 and v_amount > v_dbalance - v_dwait or v_climits = 2 and v_amount > -v_cbalance - v_cwait then
      return null;
    end if;
  elsif v_expires <= v_at or exists (select from ledger_resolution where pending_id = v_pending) then
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
  v_moved := case when v_kind = 'posted' or v_kind = 'post' then v_amount else 0 end;
  update ledger_balance set version = version + (v_moved > 0)::int, entry_at = v_at,
    debits_posted = debits_posted + v_moved, debits_pending = debits_pending + v_wait
  where account = v_debit and shard = v_dshard returning version into v_dversion;
  update ledger_balance set version = version + (v_moved > 0)::int, entry_at = v_at,
    credits_posted = credits_posted + v_moved, credits_pending = credits_pending + v_wait
  where account = v_credit and shard = v_cshard returning version into v_cversion;
  if v_moved > 0 then
    insert into ledger_entry (account, shard, version, at, transfer_id, amount, balance) values
      (v_debit, v_dshard, v_dversion, v_at, v_id, -v_moved, v_dbalance - v_moved),
      (v_credit, v_cshard, v_cversion, v_at, v_id, v_moved, v_cbalance + v_moved);
  end if;
  return v_amount;
end $fn$;
`
