// Vendure, from the folder it is installed in: `fill` puts the catalogue into an empty database, `serve` answers.
// node vendure-server.mjs fill|serve FOLDER DATABASE_URL [CATALOGUE.json]
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

process.once('disconnect', () => process.exit(0))
const [mode, folder, databaseUrl, catalogueFile] = process.argv.slice(2)
const vendure = createRequire(join(folder, 'package.json'))('@vendure/core')
const database = new URL(databaseUrl)
const app = await vendure.bootstrap({
  apiOptions: { hostname: '127.0.0.1', port: 0, shopApiPath: 'shop-api', adminApiPath: 'admin-api' },
  authOptions: {
    tokenMethod: ['bearer'],
    superadminCredentials: { identifier: randomUUID(), password: randomUUID() },
  },
  dbConnectionOptions: {
    type: 'postgres',
    host: database.searchParams.get('host'),
    port: Number(database.port),
    username: database.username,
    password: decodeURIComponent(database.password),
    database: database.pathname.slice(1),
    poolSize: 20,
    synchronize: mode === 'fill',
    logging: false,
  },
  paymentOptions: { paymentMethodHandlers: [vendure.dummyPaymentHandler] },
  logger: new vendure.DefaultLogger({ level: vendure.LogLevel.Error }),
  plugins: [
    vendure.DefaultJobQueuePlugin.init({ useDatabaseForBuffer: true }),
    vendure.DefaultSearchPlugin.init({ indexStockStatus: false }),
  ],
})
if (mode === 'fill') {
  await fill(JSON.parse(readFileSync(catalogueFile, 'utf8')))
  process.exit(0)
}
process.send({ port: app.getHttpServer().address().port })

async function fill(catalogue) {
  await app.get(vendure.Populator).populateInitialData({
    defaultLanguage: vendure.LanguageCode.en,
    defaultZone: 'Europe',
    countries: [{ code: 'DE', name: 'Germany', zone: 'Europe' }],
    taxRates: [{ name: 'Standard Tax', percentage: 19 }],
    shippingMethods: [{ name: 'Standard', price: 500 }],
    paymentMethods: [
      {
        name: 'dummy',
        handler: { code: 'dummy-payment-handler', arguments: [{ name: 'automaticSettle', value: 'false' }] },
      },
    ],
    collections: [],
  })
  const errors = await new Promise((resolve, reject) => {
    let found = []
    app
      .get(vendure.Importer)
      .parseAndImport(csv(catalogue), vendure.LanguageCode.en)
      .subscribe({
        next: progress => (found = progress.errors ?? found),
        error: reject,
        complete: () => resolve(found),
      })
  })
  if (errors.length > 0) throw new Error(`the catalogue was not taken: ${errors.slice(0, 3).join('; ')}`)
  await index(catalogue.length)
}

/**
 * Builds the search index, here, as no worker runs later. The import leaves a job for each product, of which Vendure
 * takes five a second: one job for all of them instead.
 */
async function index(wanted) {
  const { rawConnection } = app.get(vendure.TransactionalConnection)
  await rawConnection.query('delete from job_record')
  await app.get(vendure.JobQueueService).start()
  const ctx = await app.get(vendure.RequestContextService).create({ apiType: 'admin' })
  await app.get(vendure.SearchService).reindex(ctx)
  for (;;) {
    const [{ indexed }] = await rawConnection.query('select count(*)::int as indexed from search_index_item')
    const [{ left }] = await rawConnection.query(
      'select count(*)::int as left from job_record where "isSettled" = false',
    )
    if (indexed === wanted && left === 0) return
    await pause(200)
  }
}

function csv(catalogue) {
  const columns = [
    ...['name', 'slug', 'description', 'assets', 'facets', 'optionGroups', 'optionValues', 'sku', 'price'],
    ...['taxCategory', 'stockOnHand', 'trackInventory', 'variantAssets', 'variantFacets'],
  ]
  const rows = catalogue.map(({ slug, name, descr, price }) => {
    const given = {
      ...{ name, slug, description: descr, sku: slug, price: (price / 100).toFixed(2) },
      ...{ taxCategory: 'standard', stockOnHand: 1_000_000, trackInventory: 'true' },
    }
    return columns.map(column => `"${given[column] ?? ''}"`).join(',')
  })
  return `${columns.join(',')}\n${rows.join('\n')}\n`
}
