import type { MigrationSet } from '@aaas/support-cloud/rdbms'

/** Keys of third-party systems. Only a hash of the secret is kept. */
export const apiKeyMigrations: MigrationSet = {
  owner: 'site-cloud/open-api',
  migrations: [
    {
      level: 1,
      name: 'api keys',
      up: `create table api_key (
        key_id text primary key, name text not null, secret_hash text not null, scopes jsonb not null,
        requests_per_second int not null check (requests_per_second between 1 and 1000000),
        created_at timestamptz not null default now(), revoked_at timestamptz)`,
    },
  ],
}
