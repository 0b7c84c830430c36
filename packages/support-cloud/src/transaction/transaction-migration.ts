/**
 * The claim of a key, first statement of a keyed transaction: one round trip together with BEGIN.
 *
 * The row of the key is inserted before anything else. A second transaction with the key waits there until the first one
 * has ended, whoever ran it and whether or not its client still lives; then it either gets the key or sees the answer.
 * That is what resolves a lost COMMIT: a transaction id could be asked by `pg_xact_status`, but ids that never reached
 * the log are given out again after a crash, so only the row tells the truth.
 *
 * `lock_timeout` counts from the next wait on; `statement_timeout` from the next statement on, so a claim waits by the
 * first. A client that vanishes without a word leaves a transaction that the server ends at the deadline.
 */
export const transactionSql = `
create function aaas_tx_claim(p_scope text, p_key text, p_hash text, p_ms int, p_pipelined boolean,
  out fresh boolean, out same boolean, out response text)
language plpgsql as $fn$
declare
  stored text;
begin
  perform set_config('lock_timeout', p_ms::text, true), set_config('statement_timeout', p_ms::text, true),
    set_config('idle_in_transaction_session_timeout', (p_ms + 1000)::text, true);
  loop
    insert into idempotency (scope, key, body_hash) values (p_scope, p_key, p_hash) on conflict do nothing;
    fresh := found;
    exit when fresh;
    select i.body_hash, i.response::text into stored, response from idempotency i
      where i.scope = p_scope and i.key = p_key;
    if found then
      same := stored = p_hash;
      -- What follows in a pipeline must not run: the error makes the server skip it.
      if p_pipelined then
        raise exception 'the key exists' using errcode = 'TX001';
      end if;
      exit;
    end if;
  end loop;
end $fn$;

-- Ends the predecessor of a resolving claim when it only waits for a client that is gone. One that executes something,
-- COMMIT above all, is left to finish: ending a wait for a synchronous standby would show what is not yet safe.
create function aaas_tx_end_idle(p_pid int, p_since timestamptz) returns boolean language sql as $fn$
  select coalesce(bool_or(pg_terminate_backend(a.pid)), false) from pg_stat_activity a
  where a.pid = p_pid and a.backend_start = p_since and a.state like 'idle in transaction%'
$fn$;
`
