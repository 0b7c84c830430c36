import { silentLogger } from '@aaas/core-cloud/kernel'
import { type Cache, memoryCache } from '@aaas/support-cloud/cache'
import { type Database, migrate, pgDatabase, type Queryable, type Statement } from '@aaas/support-cloud/rdbms'
import { type SearchIndex, sqliteSearchIndex } from '@aaas/support-cloud/search'
import { ManualClock, openTestDatabase } from '@aaas/testing'
import {
  type CatalogueDeps,
  CatalogueService,
  catalogueMigrations,
  productIndexFields,
} from '../../src/catalogue/index.js'
import { listPrices, pricingMigrations } from '../../src/pricing/index.js'

export interface CatalogueFixture extends AsyncDisposable {
  readonly db: Database
  readonly clock: ManualClock
  readonly cache: Cache
  readonly search: SearchIndex
  readonly catalogue: CatalogueService
  /** Statements sent since the last `statements.length = 0`. */
  readonly statements: Statement[]
  /** Another instance of the same shop, with a cache of its own. */
  another(more?: Partial<CatalogueDeps>): CatalogueService
}

// The inventory's table as catalogue reads it; the inventory's own tests cover its rules.
const stockTable = `create table stock_level (sku text collate "C" primary key, on_hand bigint not null, reserved bigint not null default 0)`

const setInitial = {
  async setInitial(tx: Queryable, rows: readonly { readonly sku: string; readonly quantity: number }[]): Promise<void> {
    await tx.query({
      text: `insert into stock_level (sku, on_hand) select * from unnest($1::text[], $2::bigint[]) on conflict do nothing`,
      values: [rows.map(row => row.sku), rows.map(row => row.quantity)],
    })
  },
}

export async function openCatalogue(): Promise<CatalogueFixture> {
  const database = await openTestDatabase()
  const plain = pgDatabase({ url: database.url })
  await migrate(plain, [catalogueMigrations, pricingMigrations])
  await plain.script(stockTable)
  const statements: Statement[] = []
  const db: Database = {
    ...plain,
    query: statement => {
      statements.push(statement)
      return plain.query(statement)
    },
  }
  const clock = new ManualClock()
  const cache = memoryCache({ clock })
  const search = sqliteSearchIndex({ file: ':memory:', fields: productIndexFields })
  const another = (more: Partial<CatalogueDeps> = {}): CatalogueService =>
    new CatalogueService({
      db,
      cache: memoryCache({ clock }),
      search,
      stock: setInitial,
      prices: listPrices,
      clock,
      logger: silentLogger,
      currency: 'CNY',
      ...more,
    })
  const catalogue = another({ cache })
  return {
    db,
    clock,
    cache,
    search,
    catalogue,
    statements,
    another,
    async [Symbol.asyncDispose]() {
      await catalogue.ensureIndexed().catch(() => undefined)
      await search[Symbol.asyncDispose]()
      await plain[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
    },
  }
}

export const header =
  'slug,category,category_name_zh,category_name_en,brand,name_zh,name_en,description_zh,description_en,image,sku,price,stock,option_color_zh,option_color_en,attr_material_zh,attr_material_en'

/** Three products: a kettle in two colours, a phone case, a tea. */
export const smallShop = [
  header,
  'kettle,home,家居,Home,Aqua,保温水壶,Insulated kettle,"一升半，保温""很久""",Keeps water hot,art/kettle.svg,KET-R,129.90,10,红色,red,不锈钢,steel',
  'kettle,home,,,,,,,,,KET-B,139,0,蓝色,blue,,',
  'phone-case,phones,手机配件,Phone accessories,华为,华为手机保护壳,Huawei phone case,防摔,Shockproof,art/case.svg,CASE-1,49.5,100,,,硅胶,silicone',
  'green-tea,home,,,,绿茶,Green tea,,,,TEA.1,0.01,5,,,,',
].join('\r\n')

/** A file of `products` products with two SKUs each. */
export function bigShop(products: number): string {
  const lines = [header]
  for (let at = 0; at < products; at++) {
    const shared = `p-${at},c-${at % 12},分类${at % 12},Category ${at % 12},Brand ${at % 40},保温水壶 ${at},Insulated kettle ${at},"做工精细，适合家庭使用","Made with care, for daily use",art/p-${at % 50}.svg`
    lines.push(
      `${shared},S-${at}-R,${100 + at}.50,10,红色,red,钢,steel`,
      `${shared},S-${at}-B,${110 + at}.50,10,蓝色,blue,钢,steel`,
    )
  }
  return lines.join('\n')
}
