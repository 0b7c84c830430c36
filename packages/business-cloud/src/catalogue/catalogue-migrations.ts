import type { MigrationSet } from '@aaas/support-cloud/rdbms'

// `ordinal` is the order of first import: the order of display, and `newest` backwards.
// `catalogue_state` has one row: every change of the shelf raises `version`, `epoch` tells two databases apart.
// SKUs compare by their bytes everywhere (collation C), as the stock does: one order of locking, and joins that agree.
const shelf = `
create table category (
  slug text primary key,
  ordinal bigint generated always as identity,
  name jsonb not null,
  ext jsonb not null default '{}'
);
create table product (
  slug text primary key,
  ordinal bigint generated always as identity,
  category text not null references category (slug),
  brand text not null,
  name jsonb not null,
  description jsonb not null,
  image text not null,
  attributes jsonb not null default '{}',
  on_shelf boolean not null default true,
  ext jsonb not null default '{}'
);
create index product_shelf on product (ordinal) where on_shelf;
create index product_category on product (category, ordinal) where on_shelf;
create table sku (
  sku text collate "C" primary key check (sku ~ '^[A-Za-z0-9._-]{1,64}$'),
  product text not null references product (slug),
  position int not null,
  options jsonb not null default '{}',
  on_shelf boolean not null default true,
  ext jsonb not null default '{}'
);
create index sku_product on sku (product);
create table catalogue_state (
  one boolean primary key default true check (one),
  epoch uuid not null default gen_random_uuid(),
  version bigint not null default 0
);
insert into catalogue_state default values;
`

/** Reads join pricing's `price` and the inventory's `stock_level`: migrate those too before the first call. */
export const catalogueMigrations: MigrationSet = {
  owner: 'business-cloud/catalogue',
  migrations: [{ level: 1, name: 'shelf', up: shelf }],
}
