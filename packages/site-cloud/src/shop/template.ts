import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { readImport } from '@aaas/business-cloud/catalogue'
import { parseMeasurement, type Template, unitCapacity } from '../template/index.js'
import { ShopConfig, shopConfigDefaults } from './shop-config.js'
import { siteView } from './site-view.js'

/** What one instance did, as `aaas template measure shop --write` wrote it. */
const measured = fileURLToPath(new URL('../../../assets/shop/unit-capacity.json', import.meta.url))

/** The shop: catalogue, search, cart, checkout, payment, orders, open API. */
export const shopTemplate: Template = {
  name: 'shop',
  version: '1.0.0',
  summary: {
    'zh-CN': '网上店铺：商品、搜索、购物车、结算、支付、订单',
    en: 'A shop: catalogue, search, cart, checkout, payment, orders',
  },
  config: ShopConfig,
  configDefaults: shopConfigDefaults,
  checkConfig: config => void siteView(config as ShopConfig),
  checkCatalogue: async (catalogue, config) => void (await readImport([catalogue], config as ShopConfig)),
  extensionPoints: [
    'pricing.quote@1',
    'order.place@1',
    'order.placed@1',
    'order.paid@1',
    'order.closed@1',
    'order.shipped@1',
    'order.completed@1',
    'order.refunded@1',
    'page.home@1',
    'page.product@1',
    'page.cart@1',
    'console.section@1',
  ],
  dataLevel: 1,
  capacity: unitCapacity(parseMeasurement(readFileSync(measured, 'utf8'), measured)),
  programDir: fileURLToPath(new URL('.', import.meta.url)),
}
