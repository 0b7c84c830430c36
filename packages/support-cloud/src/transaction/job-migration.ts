/** Jobs. `due_at` is when to look at one next: for one that a worker holds (`owner`), the end of its lease. */
export const jobSql = `
create table aaas_job (
  id bigint generated always as identity primary key,
  kind text not null,
  key text,
  payload jsonb,
  due_at timestamptz not null,
  attempts int not null default 0,
  owner text,
  fence bigint not null default 0,
  error text,
  parked_at timestamptz,
  parked_reason text
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
create index aaas_job_due on aaas_job (due_at) where parked_at is null;
create unique index aaas_job_key on aaas_job (kind, key) where key is not null and parked_at is null;
create index aaas_job_parked on aaas_job (id) where parked_at is not null;
create table aaas_job_schedule (
  name text primary key,
  cron text not null,
  kind text not null,
  payload jsonb,
  next_at timestamptz not null
);
`
