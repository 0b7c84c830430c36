/**
 * The rules of the ledger: the body of the loop of `ledger_many`, without any SQL. Items see what those before them did;
 * a chain that fails is taken back, last first. Reasons for which `v_keep` is false leave no trace.
 */
export const decideSql = `
  for i in 1..v_count loop
    r := null;
    v_keep := true;
    v_again := false;
    v_moved := 0;
    v_wait := 0;
    d := v_debit_at[i];
    c := v_credit_at[i];
    a := v_amount[i];
    if i > v_chain_end and v_linked[i] then
      v_chain_start := i;
      v_chain_end := i + v_chain_size[i] - 1;
      v_failed := false;
    end if;
    if i <= v_chain_end and v_failed then
      v_result[i] := 'linked-failed';
      v_state[i] := v_failed_state;
      continue;
    end if;
    j := v_twin[i];
    while j is not null and v_state[j] = 0 loop j := v_twin[j]; end loop;
    if v_same[i] is not null then
      v_again := v_same[i];
      if v_again then r := v_known_reason[i]; a := v_known_amount[i]; end if;
    elsif j is not null then
      v_again := (v_kind[i], v_pending[i], v_debit[i], v_credit[i], v_amount[i], v_currency[i], v_code[i], v_ref[i],
        v_timeout[i], v_balancing[i], v_chain[i], v_chain_at[i], v_chain_size[i]) is not distinct from
        (v_kind[j], v_pending[j], v_debit[j], v_credit[j], v_amount[j], v_currency[j], v_code[j], v_ref[j],
        v_timeout[j], v_balancing[j], v_chain[j], v_chain_at[j], v_chain_size[j]);
      if v_again then r := v_result[j]; a := v_final[j]; end if;
    end if;
    if v_again then
      v_state[i] := 2;
      if p_strict and r is not null then
        perform ledger_refuse(r, v_id[i], v_pending[i], v_debit[i], v_credit[i]);
      end if;
    elsif v_same[i] is not null or j is not null then
      r := 'conflict';
      v_keep := false;
    elsif v_id[i] < v_horizon and substr(v_id[i]::text, 15, 1) = '7' then
      r := 'archived';
      v_keep := false;
    elsif v_pending[i] is not null then
      j := v_inner[i];
      if j is not null then
        -- Decided by the first item of that id.
        if v_state[j] > 0 then v_is_pending[i] := v_kind[j] = 'pending' and v_result[j] is null; end if;
        v_whole[i] := v_final[j];
      end if;
      if v_is_pending[i] is null then r := 'pending-not-found'; a := coalesce(a, 0);
      elsif not v_is_pending[i] then r := 'not-pending'; a := coalesce(a, 0);
      elsif a > v_whole[i] then r := 'exceeds-pending';
      elsif v_ended[v_first[i]] is not null then
        r := case v_ended[v_first[i]] when 'post' then 'already-posted' when 'void' then 'already-voided'
          else 'expired' end;
      elsif v_expires[i] <= v_at then r := 'expired';
      else
        a := coalesce(a, v_whole[i]);
        v_moved := case v_kind[i] when 'post' then a else 0 end;
        v_wait := -v_whole[i];
      end if;
      a := coalesce(a, v_whole[i]);
    elsif d is null or c is null then
      r := case when d is null then 'debit-account-not-found' else 'credit-account-not-found' end;
      v_keep := false;
    elsif a_asset[d] <> a_asset[c] or split_part(a_asset[d], '/', 1) <> v_currency[i] then
      r := 'asset-differs';
      v_keep := false;
    elsif v_balancing[i] in ('debit', 'both') and a_limits[d] <> 1
      or v_balancing[i] in ('credit', 'both') and a_limits[c] <> 2 then
      r := 'balancing-without-limit';
      v_keep := false;
    else
      if v_balancing[i] is not null then
        if v_balancing[i] <> 'credit' then a := least(a, cp[d] - dp[d] - dw[d]); end if;
        if v_balancing[i] <> 'debit' then a := least(a, dp[c] - cp[c] - cw[c]); end if;
        if a <= 0 then
          r := case when v_balancing[i] <> 'credit' and cp[d] - dp[d] - dw[d] <= 0 then 'exceeds-credits'
            else 'exceeds-debits' end;
        end if;
      end if;
      if r is not null then null;
      elsif a_limits[d] = 1 and dp[d] + dw[d] + a > cp[d] then r := 'exceeds-credits';
      elsif a_limits[c] = 2 and cp[c] + cw[c] + a > dp[c] then r := 'exceeds-debits';
      elsif dp[d] + dw[d] + a > 9007199254740991 or cp[c] + cw[c] + a > 9007199254740991 then r := 'overflow';
      elsif v_kind[i] = 'posted' then v_moved := a;
      else v_wait := a;
      end if;
      if r is not null then a := v_amount[i]; end if;
    end if;
    if i <= v_chain_end and v_again <> (v_chain_start < i and v_state[v_chain_start] = 2) and v_chain_start < i then
      r := 'conflict';
      v_keep := false;
      v_again := false;
    end if;
    v_final[i] := a;
    if v_again then
      v_result[i] := r;
      v_odd := true;
    elsif r is null then
      v_state[i] := 1;
      if a is distinct from v_amount[i] then v_odd := true; end if;
      if v_refs and v_pending[i] is not null then v_ended[v_first[i]] := v_kind[i]; end if;
      a_touched[d] := true;
      a_touched[c] := true;
      if v_wait <> 0 then
        dw[d] := dw[d] + v_wait;
        cw[c] := cw[c] + v_wait;
        v_released[i] := v_wait;
      end if;
      if v_moved > 0 then
        dp[d] := dp[d] + v_moved;
        cp[c] := cp[c] + v_moved;
        a_version[d] := a_version[d] + 1;
        a_version[c] := a_version[c] + 1;
        v_dversion[i] := a_version[d];
        v_cversion[i] := a_version[c];
        v_dbalance[i] := cp[d] - dp[d];
        v_cbalance[i] := cp[c] - dp[c];
      end if;
    else
      if p_strict then perform ledger_refuse(r, v_id[i], v_pending[i], v_debit[i], v_credit[i]); end if;
      v_odd := true;
      v_result[i] := r;
      v_state[i] := v_keep::int;
      if i <= v_chain_end then
        v_failed := true;
        v_failed_state := v_state[i];
        for k in reverse i - 1..v_chain_start loop
          if v_state[k] = 1 and v_result[k] is null then
            d := v_debit_at[k];
            c := v_credit_at[k];
            dw[d] := dw[d] - v_released[k];
            cw[c] := cw[c] - v_released[k];
            if v_pending[k] is not null then v_ended[v_first[k]] := null; end if;
            if v_dversion[k] is not null then
              dp[d] := dp[d] - v_final[k];
              cp[c] := cp[c] - v_final[k];
              a_version[d] := a_version[d] - 1;
              a_version[c] := a_version[c] - 1;
              v_dversion[k] := null;
            end if;
          end if;
          v_result[k] := 'linked-failed';
          v_state[k] := v_failed_state;
          v_final[k] := coalesce(v_amount[k], 0);
        end loop;
      end if;
    end if;
  end loop;
`
