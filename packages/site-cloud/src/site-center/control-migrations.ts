import type { MigrationSet } from '@aaas/support-cloud/rdbms'

/** Tables of the control database. Secrets in it: database URLs of sites, keys of platform services. */
export const controlMigrations: MigrationSet = {
  owner: 'site-cloud/site-center',
  migrations: [
    {
      level: 1,
      name: 'sites, versions, packages, hosts, audit, usage, console users',
      up: `
create table package (
  digest text primary key, name text not null, version text not null, kind text not null, publisher text not null,
  package_json jsonb not null, signature jsonb not null, bytes bigint not null, uploaded_at timestamptz not null default now());
create table site (
  name text primary key, kind text not null check (kind in ('site', 'service')),
  host_names jsonb not null default '[]', database_url text not null, config jsonb not null default '{}',
  version int not null default 0, instances int not null default 1, concurrency int not null default 64,
  memory_mb int not null default 512, maintenance boolean not null default false, restart int not null default 0,
  generation bigint not null, performance jsonb, created_at timestamptz not null default now());
create table site_version (
  site text not null references site(name), version int not null, digest text not null references package(digest),
  config jsonb not null, plan jsonb, state text not null default 'pushed', failure text,
  pushed_at timestamptz not null default now(), pushed_by text not null, deployed_at timestamptz,
  primary key (site, version));
create table site_cloudware (
  site text not null references site(name), name text not null, digest text not null references package(digest),
  config jsonb not null default '{}', added_at timestamptz not null default now(), primary key (site, name));
create table host_report (host_id text primary key, sites jsonb not null, edge_port int not null, at timestamptz not null);
create table audit (
  id bigint generated always as identity primary key, at timestamptz not null default now(),
  actor text not null, action text not null, site text not null default '', detail text not null default '');
create table usage_reading (
  source text not null, site text not null, epoch text not null, seq bigint not null, at timestamptz not null,
  counters jsonb not null, primary key (source, epoch, seq));
create index usage_reading_site on usage_reading (site, source, epoch, seq desc);
create table platform_secret (name text primary key, value jsonb not null);
create table console_user (
  name text primary key, password text not null, role text not null check (role in ('admin', 'operator', 'viewer')),
  created_at timestamptz not null default now());
create table console_session (
  token_hash text primary key, user_name text not null references console_user(name) on delete cascade,
  csrf text not null, expires_at timestamptz not null);
create sequence desired_generation;`,
    },
    {
      level: 2,
      name: 'locks of sites, host names of versions',
      allow: 'one process writes here, and it is the one that migrates',
      // Both are absent for what was pushed before; the next deployment fills them in.
      up: `
alter table site add column lock jsonb;
alter table site_version add column host_names jsonb;
create index audit_site on audit (site, id desc);
create index console_session_user on console_session (user_name);`,
    },
  ],
}
