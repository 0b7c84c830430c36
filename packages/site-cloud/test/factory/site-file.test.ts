import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspectPackage } from '@aaas/core-cloud/cloudware'
import { CloudError } from '@aaas/core-cloud/kernel'
import { test } from 'tap'
import { generateSite, parseSiteFile } from '../../src/factory/index.js'
import { shopTemplate } from '../../src/shop/index.js'

const good = {
  template: 'shop',
  name: 'tea',
  config: { name: { 'zh-CN': '茶', en: 'Tea' } },
  performance: { ordersPerMinute: 60, p99Ms: 500 },
}

const goods = [
  'slug,category,category_name_zh,category_name_en,brand,name_zh,name_en,description_zh,description_en,image,sku,price,stock',
  'tea,home,家居,Home,,绿茶,Green tea,,,,TEA,1.00,5',
].join('\n')

async function inFolder<T>(files: Record<string, string>, work: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'aaas-t-'))
  try {
    for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text)
    return await work(dir)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

const generate = (site: object, more: Record<string, string> = {}) =>
  inFolder({ 'site.json': JSON.stringify(site), ...more }, siteDir =>
    generateSite({ siteDir, templates: [shopTemplate], engine: '^0.1.0' }),
  )

async function problemOf(work: Promise<unknown>): Promise<CloudError> {
  try {
    await work
  } catch (error) {
    if (CloudError.is(error)) return error
    throw error
  }
  throw new Error('nothing was refused')
}

test('bad site.json: each wrong place is named', async t => {
  const cases: readonly [string, object, string][] = [
    ['no name', { ...good, name: undefined }, 'name'],
    ['a name with capitals', { ...good, name: 'Tea' }, 'name'],
    ['an unknown field', { ...good, colour: 'red' }, 'colour'],
    ['no performance', { ...good, performance: undefined }, 'performance'],
    [
      'performance of zero',
      { ...good, performance: { ordersPerMinute: 0, p99Ms: 500 } },
      'performance/ordersPerMinute',
    ],
    ['a p99 that is text', { ...good, performance: { ordersPerMinute: 1, p99Ms: 'fast' } }, 'performance/p99Ms'],
    ['an unknown language', { ...good, config: { ...good.config, languages: ['fr'] } }, 'config/languages/0'],
    [
      'a theme that does not exist',
      { ...good, config: { ...good.config, theme: { preset: 'neon' } } },
      'config/theme/preset',
    ],
    ['a setting the template does not have', { ...good, config: { ...good.config, shoeSize: 42 } }, 'config/shoeSize'],
    [
      'languages without the default one',
      { ...good, config: { ...good.config, languages: ['en'] } },
      'config/defaultLanguage',
    ],
    ['a catalogue that is not there', { ...good, catalogue: 'missing.csv' }, 'catalogue'],
    ['a catalogue outside the folder', { ...good, catalogue: 'a/../../secret.csv' }, 'catalogue'],
  ]
  for (const [what, site, field] of cases) {
    const problem = await problemOf(generate(site))
    t.equal(problem.code, 'site.factory.invalid-site', what)
    t.equal(problem.field, field, what)
  }
  const unknown = await problemOf(generate({ ...good, template: 'bakery' }))
  t.equal(unknown.code, 'site.template.unknown')
  t.throws(() => parseSiteFile('{'), { code: 'site.factory.invalid-site' })
})

test('the same folder gives the same bytes; another setting gives another version', async t => {
  const first = await generate(good)
  const second = await generate(good)
  const other = await generate({ ...good, config: { name: { 'zh-CN': '茶', en: 'More tea' } } })
  t.equal(first.ref.digest, second.ref.digest)
  t.not(first.ref.version, other.ref.version)
  t.not(first.ref.digest, other.ref.digest)
})

test('a catalogue with a bad row is refused before anything is built, and the row is named', async t => {
  const site = { ...good, catalogue: 'goods.csv' }
  const refused = await problemOf(
    generate(site, { 'goods.csv': `${goods}\ntea-2,home,,,,红茶,Red tea,,,,RED,cheap,5` }),
  )
  t.equal(refused.code, 'business.catalogue.invalid-import')
  const { problems } = refused.details as {
    readonly problems: readonly { readonly row: number; readonly field: string }[]
  }
  t.match(problems, [{ row: 3, field: 'price' }])
})

test('the package holds the program, the settings, the catalogue and the plan, and nothing of the folder changes', async t => {
  await inFolder(
    { 'site.json': JSON.stringify({ ...good, catalogue: 'goods.csv' }), 'goods.csv': goods },
    async siteDir => {
      const before = await readdir(siteDir)
      const { tarball, packageJson } = await generateSite({ siteDir, templates: [shopTemplate], engine: '^0.1.0' })
      const names = inspectPackage(tarball).files.map(file => file.path)
      for (const name of ['program/program.js', 'site.json', 'catalogue.csv', 'capacity.json', 'package.json']) {
        t.ok(names.includes(name), name)
      }
      t.notOk(
        names.some(name => name.endsWith('.map') || name.endsWith('.d.ts')),
        'no build left-overs',
      )
      t.same(packageJson.aaas.template, { name: 'shop', version: shopTemplate.version })
      t.same(await readdir(siteDir), before)
    },
  )
})
