/**
 * Sagas. `due_at` is when to look at a saga next: for one that somebody holds (`owner`), the end of the lease. Every
 * claim raises `fence`, and `aaas_saga_record` writes only for the fence that is current. A waiting saga is woken by
 * `signals`: the count is compared when it is laid down, so that a signal between the look and the laying down is seen.
 * Times come from the server's clock unless a caller gives its own (`p_now`, epoch milliseconds).
 */
export const sagaSql = `
create function aaas_at(p_now float8) returns timestamptz language sql volatile as $fn$
  select coalesce(to_timestamp(p_now / 1000.0), clock_timestamp())
$fn$;

create table aaas_saga (
  id text primary key check (length(id) between 1 and 200),
  position bigint generated always as identity unique,
  name text not null,
  version int not null,
  state text not null default 'running'
    check (state in ('running', 'compensating', 'completed', 'compensated', 'parked')),
  input jsonb,
  body_hash text not null,
  started_at timestamptz not null,
  changed_at timestamptz not null,
  deadline_at timestamptz not null,
  due_at timestamptz not null,
  owner text,
  fence bigint not null default 0,
  idle_claims int not null default 0,
  signals int not null default 0,
  cancel_reason text,
  failure text,
  parked_from text,
  parked_code text,
  parked_reason text,
  constraint aaas_saga_parked check ((state = 'parked') = (parked_reason is not null and parked_from is not null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
create index aaas_saga_due on aaas_saga (due_at) where state in ('running', 'compensating');
create index aaas_saga_state on aaas_saga (state, position);
create index aaas_saga_undefined on aaas_saga (name, version) where parked_code = 'no-definition';
create table aaas_saga_step (
  saga_id text not null references aaas_saga (id) on delete cascade,
  step int not null,
  name text not null,
  state text not null
    check (state in ('intended', 'done', 'unknown', 'refused', 'compensating', 'compensated', 'kept')),
  attempts int not null,
  resolves int not null,
  compensations int not null,
  was_done boolean not null,
  output jsonb,
  error text,
  changed_at timestamptz not null default clock_timestamp(),
  primary key (saga_id, step)
);
create table aaas_saga_signal (
  saga_id text not null references aaas_saga (id) on delete cascade,
  signal_id text not null,
  position bigint generated always as identity,
  name text not null,
  payload jsonb,
  taken_by int,
  primary key (saga_id, signal_id)
);
create table aaas_saga_audit (
  id bigint generated always as identity primary key,
  saga_id text not null,
  at timestamptz not null default clock_timestamp(),
  actor text not null,
  reason text not null,
  act text not null,
  step text
);
create index aaas_saga_audit_saga on aaas_saga_audit (saga_id, id);

create function aaas_saga_claim(p_owner text, p_names text[], p_versions int[], p_limit int, p_lease float8,
  p_now float8) returns setof jsonb language sql as $fn$
  with known as (select unnest(p_names) as name, unnest(p_versions) as version),
  due as (
    select s.id from aaas_saga s where s.state in ('running', 'compensating') and s.due_at <= aaas_at(p_now)
      and (s.name, s.version) in (select name, version from known)
    order by s.due_at limit p_limit for update skip locked
  ), defined as (
    select s.id from aaas_saga s where s.parked_code = 'no-definition'
      and (s.name, s.version) in (select name, version from known)
    limit p_limit for update skip locked
  ), taken as (
    update aaas_saga s set owner = p_owner, fence = s.fence + 1, idle_claims = s.idle_claims + 1,
      due_at = aaas_at(p_now) + p_lease * interval '1 ms', state = coalesce(s.parked_from, s.state),
      parked_from = null, parked_code = null, parked_reason = null
    from (select id from due union all select id from defined limit p_limit) d where s.id = d.id
    returning s.*
  )
  select jsonb_build_object('id', t.id, 'fence', t.fence, 'name', t.name, 'version', t.version, 'state', t.state,
    'input', t.input, 'idleClaims', t.idle_claims, 'signalCount', t.signals, 'cancelReason', t.cancel_reason,
    'failure', t.failure, 'startedAt', extract(epoch from t.started_at) * 1000,
    'deadlineAt', extract(epoch from t.deadline_at) * 1000, 'now', extract(epoch from aaas_at(p_now)) * 1000,
    'steps', coalesce((select jsonb_agg(jsonb_build_object('step', p.step, 'name', p.name, 'state', p.state,
      'attempts', p.attempts, 'resolves', p.resolves, 'compensations', p.compensations, 'wasDone', p.was_done,
      'output', p.output, 'error', p.error, 'changedAt', extract(epoch from p.changed_at) * 1000) order by p.step)
      from aaas_saga_step p where p.saga_id = t.id), '[]'),
    'signals', coalesce((select jsonb_agg(jsonb_build_object('signalId', g.signal_id, 'name', g.name,
      'payload', g.payload) order by g.position)
      from aaas_saga_signal g where g.saga_id = t.id and g.taken_by is null), '[]'))
  from taken t
$fn$;

-- Writes what a holder found out, or nothing when it is no longer the holder. Repeating a call is harmless.
create function aaas_saga_record(p_id text, p_fence bigint, p_now float8, p_saga jsonb, p_steps jsonb,
  out recorded boolean, out cancel text) language plpgsql as $fn$
declare
  moment timestamptz := aaas_at(p_now);
begin
  update aaas_saga set
    state = coalesce(p_saga->>'state', state),
    failure = coalesce(p_saga->>'failure', failure),
    parked_from = p_saga->>'parkedFrom', parked_code = p_saga->>'parkedCode', parked_reason = p_saga->>'parkedReason',
    owner = case when (p_saga->>'release')::boolean then null else owner end,
    due_at = case when (p_saga->>'release')::boolean and signals > (p_saga->>'signalCount')::int then moment
      else moment + (p_saga->>'dueMs')::float8 * interval '1 ms' end,
    idle_claims = case when jsonb_array_length(p_steps) > 0 then 0 else idle_claims end,
    changed_at = moment
  where id = p_id and fence = p_fence and owner is not null
  returning cancel_reason into cancel;
  recorded := found;
  if not recorded or jsonb_array_length(p_steps) = 0 then return; end if;
  insert into aaas_saga_step as s (saga_id, step, name, state, attempts, resolves, compensations, was_done, output,
    error, changed_at)
  select p_id, g.step, g.name, g.state, g.attempts, g.resolves, g.compensations, g."wasDone", g.output, g.error, moment
  from jsonb_to_recordset(p_steps) as g(step int, name text, state text, attempts int, resolves int,
    compensations int, "wasDone" boolean, output jsonb, error text)
  on conflict (saga_id, step) do update set state = excluded.state, attempts = excluded.attempts,
    resolves = excluded.resolves, compensations = excluded.compensations, was_done = excluded.was_done,
    output = excluded.output, error = excluded.error, changed_at = excluded.changed_at;
  update aaas_saga_signal g set taken_by = t.step
  from jsonb_to_recordset(p_steps) as t(step int, "signalId" text)
  where g.saga_id = p_id and g.signal_id = t."signalId";
end $fn$;

create function aaas_saga_signal(p_id text, p_signal text, p_name text, p_payload jsonb, p_now float8) returns text
language plpgsql as $fn$
declare
  known text;
begin
  select state into known from aaas_saga where id = p_id for update;
  if not found then return 'unknown'; end if;
  if exists (select from aaas_saga_signal where saga_id = p_id and signal_id = p_signal) then return 'given'; end if;
  if known in ('completed', 'compensated') then return 'ended'; end if;
  if (select count(*) from aaas_saga_signal where saga_id = p_id and taken_by is null) >= 100 then
    return 'full';
  end if;
  insert into aaas_saga_signal (saga_id, signal_id, name, payload) values (p_id, p_signal, p_name, p_payload);
  update aaas_saga set signals = signals + 1,
    due_at = case when owner is null then least(due_at, aaas_at(p_now)) else due_at end where id = p_id;
  return 'given';
end $fn$;
`
