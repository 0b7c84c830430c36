// Later versions of the shop template, made from the real one by an overlay: a data migration, or a version that never gets healthy.
import { cpSync, mkdtempSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildPackage, signPackage } from '../../packages/core-cloud/dist/src/cloudware/index.js'
import { generateSite } from '../../packages/site-cloud/dist/src/factory/index.js'
import { shopTemplate } from '../../packages/site-cloud/dist/src/shop/index.js'

/** The template with some of its compiled files replaced or wrapped. */
function variant(version, dataLevel, overlay) {
  const dir = mkdtempSync(join(tmpdir(), 'aaas-variant-'))
  cpSync(shopTemplate.programDir, dir, { recursive: true })
  overlay(dir)
  return { ...shopTemplate, version, dataLevel, programDir: dir }
}

const wrap = (dir, file, text) => {
  renameSync(join(dir, file), join(dir, file.replace('.js', '-before.js')))
  writeFileSync(join(dir, file), text)
}

/** 1.1.0: expands the schema and fills the new column from the data that is there. */
export const withMigration = () =>
  variant('1.1.0', 2, dir =>
    wrap(
      dir,
      'migrations.js',
      `import { shopMigrations as before } from './migrations-before.js'
export const shopMigrations = [...before, { owner: 'template/shop-1.1', migrations: [{ level: 1, name: 'search name of the buyer', up: \`
  alter table trade_order add column buyer_search text;
  update trade_order set buyer_search = lower(address ->> 'name');
  create index trade_order_buyer_search on trade_order (buyer_search)\` }] }]
`,
    ),
  )

/** 1.2.0: starts, and never says that it can serve. */
export const neverHealthy = () =>
  variant('1.2.0', 2, dir =>
    wrap(
      dir,
      'program.js',
      `import { program as before } from './program-before.js'
export const program = { ...before, async start(context) {
  const running = await before.start(context)
  return { ...running, health: async () => { throw new Error('the warehouse system does not answer') }, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() }
} }
`,
    ),
  )

/** Generates the site of a folder with one template and pushes it. @returns the version's number. */
export async function pushVariant(platform, siteDir, template, name = 'shop') {
  const generated = await generateSite({ siteDir, templates: [template], engine: '^0.1.0' })
  return pushTarball(platform, generated.tarball, name)
}

async function pushTarball(platform, tarball, name) {
  const signature = signPackage({
    tarball,
    publisher: 'local',
    privateKeyPem: readFileSync(join(platform.home, 'secrets/publisher.key.pem'), 'utf8'),
  })
  const stored = await platform.client.uploadPackage({ base64: Buffer.from(tarball).toString('base64'), signature })
  return (await platform.client.pushVersion({ site: name, digest: stored.digest })).version
}

export { buildPackage, shopTemplate }
