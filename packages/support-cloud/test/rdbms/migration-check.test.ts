import { checkMigrations, type Migration, type MigrationSet, migrationFlaws } from '@aaas/support-cloud/rdbms'
import { test } from 'tap'

const first: Migration = { level: 1, name: 'tables', up: 'create table item (id int, name text)', release: '1.0.0' }
const set = (...steps: readonly Partial<Migration>[]): MigrationSet => ({
  owner: 'test/item',
  migrations: [
    first,
    ...steps.map((step, index) => ({ level: index + 2, name: `step ${index + 2}`, up: '', ...step })),
  ],
})
const reasons = (given: MigrationSet, previous?: MigrationSet): readonly string[] =>
  migrationFlaws(given, previous === undefined ? {} : { previous }).map(flaw => flaw.reason)

test('what the version before would break on is found, and only outside contract when it is a removal', t => {
  for (const [up, reason] of [
    ['drop table item', 'drops a table'],
    ['drop table if exists item cascade', 'drops a table'],
    ['alter table item drop column name', 'drops a column'],
    ['alter table item add a int, drop name', 'drops a column'],
    ['ALTER TABLE item\n  RENAME COLUMN name TO title', 'renames'],
    ['alter table only item alter column id type bigint', 'changes the type'],
    ['alter table item alter name set not null', 'forbids NULL'],
    ['alter table item add column colour text not null', 'without a default'],
    ['alter table item add constraint positive check (id > 0)', 'checks all rows'],
    ['create unique index item_id on item (id)', 'builds an index'],
    ['create index on item (id)', 'builds an index'],
    ['drop function items()', 'drops something'],
    ['truncate item', 'empties a table'],
    [`select 'x'; -- note\n/* ; */ drop view seen`, 'drops something'],
  ] as const) {
    const [found] = reasons(set({ up }))
    t.match(found, reason, up)
  }
  t.end()
})

test('what the version before does not notice passes', t => {
  for (const up of [
    'create table colour (id int primary key); create index on colour (id); alter table colour add n int not null',
    'alter table item add column colour text',
    `alter table item add column colour text not null default 'red; drop table item'`,
    'alter table item add column n int generated always as (id + 1) stored not null',
    'alter table item add constraint positive check (id > 0) not valid',
    'alter table item drop constraint positive',
    'alter table item alter name drop not null',
    'create index concurrently on item (id)',
    '-- drop table item',
    'create function f() returns void language sql as $$ drop table item; $$',
    'create or replace view seen as select 1',
  ]) {
    t.same(reasons(set({ up })), [], up)
  }
  t.same(reasons(set({ up: 'drop table item', allow: 'nobody ever used it' })), [])
  t.match(reasons(set({ up: async () => undefined }))[0], 'code')
  t.end()
})

test('a contract step needs its expand step, in an earlier release', t => {
  const expand = { up: 'alter table item add column title text', release: '1.1.0' }
  const contract = (more: Partial<Migration>): Partial<Migration> => ({
    phase: 'contract',
    up: 'alter table item drop column name',
    after: 2,
    release: '1.2.0',
    ...more,
  })
  t.same(reasons(set(expand, contract({}))), [])
  t.match(reasons(set(expand, contract({ release: '1.1.0' })))[0], 'same release')
  t.match(reasons(set(expand, contract({ release: '1.1.9' })))[0], 'same release')
  t.same(reasons(set(expand, contract({ release: '2.0.0' }))), [])
  for (const after of [3, 9]) t.match(reasons(set(expand, contract({ after })))[0], 'must name')
  t.match(reasons(set(expand, contract({}), contract({ after: 3 })))[0], 'no expand step')
  // By what was shipped before, when that is known.
  const without = contract({})
  t.match(reasons(set(expand, without), set())[0], 'same release')
  t.same(reasons(set(expand, without), set(expand)), [])
  t.same(reasons(set(expand, without), set(expand, without)), [])
  t.end()
})

test('released steps are neither changed nor removed', t => {
  const step = { up: 'alter table item add column title text' }
  t.match(reasons(set({ up: 'select 1' }), set(step))[0], 'changed after its release')
  t.match(reasons(set(), set(step))[0], 'removed after its release')
  t.throws(() => checkMigrations([set({ up: 'drop table item' }), set()]), {
    code: 'support.rdbms.unsafe-migration',
    field: 'test/item/2',
    details: { flaws: [{ owner: 'test/item', level: 2 }] },
  })
  t.doesNotThrow(() => checkMigrations([set(step)], { previous: [set()] }))
  t.end()
})
