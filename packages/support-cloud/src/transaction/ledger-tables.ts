/**
 * The tables of the double-entry ledger. Why they look as they do:
 * - `ledger_balance` has four counters per account and shard, so that a limit is one CHECK that no code path can pass
 *   by. fillfactor 50 keeps its updates on the page (HOT).
 * - A hot account is spread over shards; one call uses one shard number for all its accounts, so two concurrent calls
 *   queue at most when their numbers are equal. A limit cannot be checked on a part: limited accounts have one shard.
 * - The transfer row is its own body: a repeat is compared column by column, no hash is kept beside it. A transfer that
 *   was rejected is a row too, with its `reason`, and has neither entries nor effect.
 * - Everything that grows is partitioned by time. Transfers and resolutions by the id itself: the partition key must be
 *   in the primary key, and only then an id is unique across all partitions. A UUID of version 7 begins with its
 *   time; the others lie in the default partition (or by chance elsewhere, see `ledger_archive_before`). Entries by
 *   their time, which never goes back within an account: what is archived is always a beginning of its history.
 * - `ledger_resolution` is what makes a pending transfer end once: its primary key.
 * - Texts that are compared are of collation C: that is the order in which balances are locked.
 * - The server reads the text of a CHECK again for every statement that writes (some 10 us for a long one): the checks
 *   are short and say what must never be; the rest is in `ledger_run`, and `ledger-verify` proves it.
 * - No foreign keys on the hot tables: `ledger_run` is their only writer and reads the accounts anyway.
 */
export const ledgerTablesSql = `
create function aaas_append_only() returns trigger language plpgsql as $fn$
begin
  raise exception '% is append-only', tg_table_name using errcode = '55000';
end $fn$;

-- The ledger's time. Tests replace it.
create function ledger_now() returns timestamptz language sql volatile as 'select clock_timestamp()';

create table ledger_account (
  id text collate "C" primary key,
  currency text collate "C" not null,
  scale smallint not null default 2,
  code text collate "C" not null default 'account',
  shards smallint not null default 1,
  limit_kind text collate "C" not null default 'none',
  created_at timestamptz not null default now(),
  constraint ledger_account_id check (id ~ '^[a-z0-9][a-z0-9:._-]{0,99}$'),
  constraint ledger_account_currency check (currency ~ '^[A-Z][A-Z0-9]{2,11}$'),
  constraint ledger_account_scale check (scale between 0 and 18),
  constraint ledger_account_code check (code ~ '^[a-z0-9][a-z0-9:._-]{0,39}$'),
  constraint ledger_account_shards check (shards between 1 and 256),
  constraint ledger_account_limit check (limit_kind in ('none', 'debits-within-credits', 'credits-within-debits')),
  constraint ledger_account_limited_is_whole check (limit_kind = 'none' or shards = 1)
);
create table ledger_balance (
  account text collate "C" not null references ledger_account (id),
  shard smallint not null,
  limits smallint not null,
  -- Entries of this part of the account, and the time of the last one.
  version bigint not null default 0,
  entry_at timestamptz not null default '-infinity',
  debits_posted bigint not null default 0,
  credits_posted bigint not null default 0,
  debits_pending bigint not null default 0,
  credits_pending bigint not null default 0,
  primary key (account, shard),
  constraint ledger_balance_counters check (least(debits_posted, credits_posted, debits_pending, credits_pending) >= 0),
  -- 1: debits within credits, 2: credits within debits.
  constraint ledger_balance_limit check (
    case limits
      when 0 then true
      when 1 then debits_posted + debits_pending <= credits_posted
      else credits_posted + credits_pending <= debits_posted
    end)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
create table ledger_transfer (
  id uuid primary key,
  created_at timestamptz not null,
  -- What was moved or reserved; of a rejected one what was asked for.
  amount bigint not null,
  -- What was asked for where that is another number; 0 stands for nothing said.
  requested bigint,
  pending_id uuid,
  chain uuid,
  expires_at timestamptz,
  timeout_ms bigint,
  debit_shard smallint,
  credit_shard smallint,
  chain_at smallint,
  chain_size smallint,
  kind text collate "C" not null,
  debit text collate "C",
  credit text collate "C",
  currency text collate "C",
  code text collate "C",
  ref text collate "C",
  balancing text collate "C",
  reason text collate "C",
  constraint ledger_transfer_row check (debit <> credit and (amount > 0 or reason is not null))
) partition by range (id);
create table ledger_resolution (
  pending_id uuid primary key,
  kind text collate "C" not null constraint ledger_resolution_kind check (kind in ('post', 'void', 'expire')),
  -- The transfer that ended it; an expiry has none.
  transfer_id uuid,
  created_at timestamptz not null,
  constraint ledger_resolution_transfer check ((transfer_id is null) = (kind = 'expire'))
) partition by range (pending_id);
create table ledger_entry (
  account text collate "C" not null,
  shard smallint not null,
  version bigint not null,
  at timestamptz not null,
  transfer_id uuid not null,
  amount bigint not null constraint ledger_entry_amount check (amount <> 0),
  -- Credits - debits of this part of the account after this entry.
  balance bigint not null,
  primary key (account, shard, version, at)
) partition by range (at);
comment on column ledger_entry.amount is 'minor units; credits are positive, debits negative';
-- A queue for the sweep. Resolving a transfer leaves its row: the sweep finds it resolved and forgets it.
create table ledger_timeout (
  pending_id uuid primary key,
  expires_at timestamptz not null
);
create index ledger_timeout_due on ledger_timeout (expires_at);
-- Where the history that is not here any more left each part of an account.
create table ledger_carry (
  account text collate "C" not null,
  shard smallint not null,
  version bigint not null,
  at timestamptz not null,
  debits_posted bigint not null,
  credits_posted bigint not null,
  primary key (account, shard)
);
create table ledger_archive (
  name text primary key,
  kind text not null,
  lower_bound timestamptz not null,
  upper_bound timestamptz not null,
  rows_moved bigint not null,
  archived_at timestamptz not null default now()
);
-- By statement for the whole, row by row for its partitions: triggers of a statement are not inherited.
create trigger ledger_never_changed before update or delete or truncate on ledger_transfer
  for each statement execute function aaas_append_only();
create trigger ledger_never_changed before update or delete or truncate on ledger_resolution
  for each statement execute function aaas_append_only();
create trigger ledger_never_changed before update or delete or truncate on ledger_entry
  for each statement execute function aaas_append_only();
create trigger ledger_append_only before update or delete on ledger_transfer
  for each row execute function aaas_append_only();
create trigger ledger_append_only before update or delete on ledger_resolution
  for each row execute function aaas_append_only();
create trigger ledger_append_only before update or delete on ledger_entry
  for each row execute function aaas_append_only();
`
