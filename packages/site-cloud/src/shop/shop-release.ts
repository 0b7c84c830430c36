import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createChart } from '@aaas/business-cloud/ledger'
import type { ReleaseContext } from '@aaas/core-cloud/deploy'
import { type Database, migrate, pgDatabase } from '@aaas/support-cloud/rdbms'
import { shopMigrations } from './migrations.js'
import { catalogueService, openCache, openSearch } from './shop-services.js'
import { readSiteFile } from './site-file.js'

const catalogueSetting = 'catalogue-digest'

/** Brings the database to this version: schema, accounts, and the catalogue when its file changed. Safe to run again. */
export async function releaseShop(context: ReleaseContext): Promise<void> {
  const { clock, logger, packageDir, dataDir } = context
  await using database = pgDatabase({ url: context.databaseUrl, maxConnections: 2, statementTimeoutMs: 120_000 })
  for (const step of await migrate(database, shopMigrations)) logger.info('migrated', { step })
  const { view, catalogue } = await readSiteFile(packageDir)
  await createChart(database, { currency: view.currency })
  await using cache = openCache(clock)
  await using search = openSearch({ dataDir, clock, logger })
  const service = catalogueService({ database, cache, search, clock, logger, currency: view.currency })
  if (catalogue !== undefined) {
    const csv = await readFile(join(packageDir, catalogue), 'utf8')
    const digest = createHash('sha256').update(csv).digest('hex')
    if ((await settingOf(database, catalogueSetting)) !== digest) {
      const { products, skus } = await service.importCsv({ csv })
      await database.query({
        text: `insert into site_setting(name, value) values ($1, $2) on conflict (name) do update set value = excluded.value`,
        values: [catalogueSetting, JSON.stringify(digest)],
      })
      logger.info('catalogue imported', { products, skus })
    }
  }
  await service.ensureIndexed()
}

async function settingOf(database: Database, name: string): Promise<unknown> {
  const rows = await database.query<{ value: unknown }>({
    text: 'select value from site_setting where name = $1',
    values: [name],
  })
  return rows[0]?.value
}
