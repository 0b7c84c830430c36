import { ledgerOneSql } from './ledger-one.js'
import { ledgerPlainSql } from './ledger-plain.js'

/** The way into the ledger, and the ways around its loop. A step of its own: databases from before have others. */
export const ledgerWaysSql = `${ledgerOneSql}${ledgerPlainSql}
create or replace function ledger_run(p_items jsonb, p_strict boolean, p_within text default null) returns jsonb language plpgsql
as $fn$
declare
  v_amount bigint;
  v_remarks jsonb;
begin
  if jsonb_array_length(p_items) = 1 and p_within is null then
    v_amount := ledger_one(p_items->0);
    if v_amount is not null then
      return case when p_items->0 ? 'amount' then '[]'
        else jsonb_build_array(jsonb_build_object('n', 0, 'amount', v_amount)) end;
    end if;
  else
    v_remarks := ledger_plain(p_items, p_strict, p_within);
    if v_remarks is not null then return v_remarks; end if;
  end if;
  return ledger_many(p_items, p_strict, p_within);
end $fn$;
`
