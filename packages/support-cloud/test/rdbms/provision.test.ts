import { systemIds } from '@aaas/core-cloud/kernel'
import {
  changedUrl,
  cloneDatabase,
  copyDatabase,
  createDatabase,
  dropDatabase,
  ensureTemplate,
  type MigrationSet,
  migrate,
  pgDatabase,
  provisionDatabase,
  quotedName,
} from '@aaas/support-cloud/rdbms'
import { openTestDatabase, seededIds, testServerUrl } from '@aaas/testing'
import { test } from 'tap'
import { serverHome, sql, start } from './server-fixture.js'

const shop: MigrationSet = {
  owner: 'test/shop',
  migrations: [
    {
      level: 1,
      name: 'tables',
      up: `create table item (id int generated always as identity primary key, name text);
           create function items() returns bigint language sql as 'select count(*) from item';
           create type size as enum ('s', 'm'); create view seen as select * from item`,
    },
  ],
}
const grown: MigrationSet = {
  ...shop,
  migrations: [...shop.migrations, { level: 2, name: 'colour', up: 'alter table item add column colour text' }],
}

test('each site has a database of its own, with the template inside, and enters no other', async t => {
  await using home = await serverHome()
  await using server = await start(home.path)
  const ids = systemIds()
  const adminUrl = server.url
  await ensureTemplate({ adminUrl, name: 'shop-template', migrations: [shop] })
  const [one, two] = await Promise.all(
    ['site-one', 'site-two'].map(name => provisionDatabase({ adminUrl, ids, name, template: 'shop-template' })),
  )
  await sql(one?.url ?? '', `insert into item (name) values ('cup')`)
  t.strictSame(await sql(one?.url ?? '', 'select items() as n'), [{ n: 1 }])
  t.strictSame(await sql(two?.url ?? '', 'select items() as n'), [{ n: 0 }])

  for (const name of ['site-two', 'postgres', 'template1', 'shop-template']) {
    const url = new URL(one?.url ?? '')
    url.pathname = `/${name}`
    await t.rejects(sql(url.href, 'select 1'), /permission denied|not currently accepting|not accept/, name)
  }
  const stolen = new URL(two?.url ?? '')
  stolen.password = new URL(one?.url ?? '').password
  await t.rejects(sql(stolen.href, 'select 1'), { code: '28P01' })
  for (const text of [
    'create database mine',
    'create role mine',
    'alter role "site-two" nologin',
    `copy item to '/tmp/out'`,
  ]) {
    await t.rejects(sql(one?.url ?? '', text), { code: '42501' }, text)
  }
  t.strictSame(await sql(adminUrl, `select rolsuper, rolconnlimit from pg_roles where rolname = 'site-one'`), [
    { rolsuper: false, rolconnlimit: 40 },
  ])
})

test('a site migrates what it got from the template', async t => {
  await using home = await serverHome()
  await using server = await start(home.path)
  const adminUrl = server.url
  await ensureTemplate({ adminUrl, name: 'shop-template', migrations: [shop] })
  const options = { adminUrl, ids: systemIds(), name: 'site-one', template: 'shop-template' }
  const { url } = await provisionDatabase({ ...options, migrations: [grown] })
  await sql(url, `insert into item (name, colour) values ('cup', 'red')`)
  await sql(url, 'create schema own create table extra (id int)')
  await sql(url, 'drop view seen')
  t.strictSame(await sql(url, `select distinct tableowner from pg_tables where schemaname in ('public', 'own')`), [
    { tableowner: 'site-one' },
  ])

  const again = await provisionDatabase(options)
  t.strictSame(await sql(again.url, 'select colour from item'), [{ colour: 'red' }], 'a repeat keeps the data')
  await t.rejects(sql(url, 'select 1'), { code: '28P01' }, 'and replaces the password')

  await dropDatabase({ adminUrl, name: 'site-one' })
  await dropDatabase({ adminUrl, name: 'site-one' })
  const left = `select datname as name from pg_database where datname = 'site-one' union select rolname from pg_roles where rolname = 'site-one'`
  t.strictSame(await sql(adminUrl, left), [])
})

test('a template is made once, whoever asks at the same time, and grows in place', async t => {
  await using home = await serverHome()
  await using server = await start(home.path)
  const adminUrl = server.url
  const make = (migrations: readonly MigrationSet[]): Promise<void> =>
    ensureTemplate({ adminUrl, name: 'shop', migrations })
  await Promise.all(Array.from({ length: 5 }, () => make([shop])))
  const busy = Array.from({ length: 4 }, (_, index) =>
    provisionDatabase({ adminUrl, ids: systemIds(), name: `site-${index}`, template: 'shop' }),
  )
  await Promise.all([make([grown]), ...busy])
  const { url } = await provisionDatabase({ adminUrl, ids: systemIds(), name: 'late', template: 'shop' })
  t.strictSame(await sql(url, `select max(level) as level from aaas_migration where owner = 'test/shop'`), [
    { level: 2 },
  ])
})

test('names are checked and quoted', t => {
  for (const name of [
    '',
    'Shop',
    '1shop',
    'pg_shop',
    'postgres',
    'template1',
    'a"b',
    'a;b',
    'a b',
    'x'.repeat(64),
    'a\n',
  ]) {
    t.throws(() => quotedName(name), { code: 'support.rdbms.invalid-name' }, JSON.stringify(name))
  }
  for (const name of ['shop', 'site-shop_1', 'x'.repeat(63)]) t.equal(quotedName(name), `"${name}"`)
  t.end()
})

test('databases are made and copied by an existing connection', async t => {
  const url = testServerUrl() ?? ''
  await using source = await openTestDatabase()
  const template = new URL(source.url).pathname.slice(1)
  const name = `made_${process.pid}_${seededIds().token(3)}`
  await using admin = pgDatabase({ url })
  {
    await using inside = pgDatabase({ url: source.url })
    await migrate(inside, [shop])
  }
  await cloneDatabase({ admin, name, template })
  await cloneDatabase({ admin, name, template })
  const copy = new URL(url)
  copy.pathname = `/${name}`
  t.strictSame(await sql(copy.href, 'select items() as n'), [{ n: 0 }])
  await dropDatabase({ adminUrl: url, name })
  await createDatabase({ admin, name })
  t.strictSame(await sql(copy.href, `select to_regclass('item') as item`), [{ item: null }])
  await dropDatabase({ adminUrl: url, name })
})

test('a site is copied as it is, its programs come back by themselves, and neither enters the other', async t => {
  await using home = await serverHome()
  await using server = await start(home.path)
  const adminUrl = server.url
  const ids = systemIds()
  const { url } = await provisionDatabase({ adminUrl, ids, name: 'site-one', migrations: [shop] })
  await using program = pgDatabase({ url })
  await program.query({ text: `insert into item (name) values ('cup')` })
  const copy = await copyDatabase({ adminUrl, ids, from: 'site-one', name: 'site-two' })
  t.same(await sql(copy.url, 'select name from item'), [{ name: 'cup' }])
  await sql(copy.url, 'alter table item add column colour text')
  // Its connection was ended; what it has now is a new one.
  const back = (): Promise<unknown> => program.query({ text: 'select name from item' })
  t.same(await back().catch(back), [{ name: 'cup' }])
  const owners = `select datname, pg_get_userbyid(datdba) as owner from pg_database where datname like 'site-%' order by 1`
  t.same(await sql(adminUrl, owners), [
    { datname: 'site-one', owner: 'site-one' },
    { datname: 'site-two', owner: 'site-two' },
  ])
  await t.rejects(sql(changedUrl(copy.url, { name: 'site-one' }), 'select 1'), /permission denied/)
  await t.rejects(copyDatabase({ adminUrl, ids, from: 'site-one', name: 'site-two' }), {
    code: 'core.kernel.invalid-config',
    field: 'name',
  })
  await t.rejects(copyDatabase({ adminUrl, ids, from: 'site-none', name: 'site-three' }), {
    code: 'core.kernel.invalid-config',
    field: 'from',
  })
  t.same(await sql(adminUrl, `select 1 from pg_roles where rolname = 'site-three'`), [], 'nothing is left behind')
})
