/**
 * The barrier of TCC participants: a row per branch, whose lock is what lets one message at a time in. A cancel that
 * comes first inserts the row itself, so that the try behind it finds the door shut.
 */
export const tccSql = `
create table aaas_barrier (
  gid text not null,
  branch text not null,
  state text not null check (state in ('tried', 'confirmed', 'cancelled', 'cancelled untried')),
  answer jsonb,
  changed_at timestamptz not null default now(),
  primary key (gid, branch)
);
create index aaas_barrier_changed on aaas_barrier (changed_at);

create function aaas_barrier_enter(p_gid text, p_branch text, p_op text, out verdict text, out answer jsonb)
language plpgsql as $fn$
declare
  known text;
begin
  if p_op <> 'confirm' then
    insert into aaas_barrier (gid, branch, state)
      values (p_gid, p_branch, case p_op when 'try' then 'tried' else 'cancelled untried' end) on conflict do nothing;
    if found then
      verdict := case p_op when 'try' then 'run' else 'empty' end;
      return;
    end if;
  end if;
  select b.state, b.answer into known, answer from aaas_barrier b where b.gid = p_gid and b.branch = p_branch for update;
  verdict := case
    when known is null then 'early'
    when p_op = 'try' and known in ('tried', 'confirmed') then 'repeated'
    when p_op = 'confirm' and known = 'confirmed' then 'repeated'
    when p_op = 'cancel' and known in ('cancelled', 'cancelled untried') then 'repeated'
    when p_op <> 'try' and known = 'tried' then 'run'
    else known end;
  if verdict = 'run' then
    update aaas_barrier b set state = case p_op when 'confirm' then 'confirmed' else 'cancelled' end, changed_at = now()
      where b.gid = p_gid and b.branch = p_branch;
  end if;
end $fn$;
`
