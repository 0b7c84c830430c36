import type { MigrationSet } from '@aaas/support-cloud/rdbms'

// Times are epoch milliseconds of the caller's clock. Of a session only the hash of its token is stored.
const schema = `
create table party (
  id uuid primary key,
  kind text not null check (kind in ('guest', 'registered')),
  name text not null,
  email text unique,
  groups text[] not null default '{}',
  created_at bigint not null,
  ext jsonb not null default '{}',
  check (kind = 'guest' or email is not null)
);
create table credential (
  party uuid primary key references party (id) on delete cascade,
  password_hash text not null,
  changed_at bigint not null
);
create table session (
  token_hash text primary key,
  party uuid not null references party (id) on delete cascade,
  created_at bigint not null,
  expires_at bigint not null
);
create index session_party on session (party, created_at);
create index session_expires on session (expires_at);
create table login_throttle (
  email text primary key,
  began_at bigint not null,
  tries int not null,
  locked_until bigint not null default 0
);
create index login_throttle_age on login_throttle (greatest(began_at, locked_until));
`

export const partyMigrations: MigrationSet = {
  owner: 'business-cloud/party',
  migrations: [{ level: 1, name: 'party', up: schema }],
}
