// Our platform as a system under load: the shop of `aaas up` through its edge and two instances.
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { address, apiKey, freePort, orderable, startPlatform } from '../tools/verify/_platform.mjs'
import { answered } from './load.mjs'

const words = ['cup', 'lamp', 'bag', 'steel', 'tea', 'cotton', 'blue']

/** @returns the system under load, and `checkBooks`, which throws when stock, orders and ledger do not agree. */
export async function startOurs({ dir, url, atEnd, say }) {
  const before = process.env.DATABASE_URL
  process.env.DATABASE_URL = url
  const starting = startPlatform({
    home: join(dir, 'home'),
    edgePort: await freePort(),
    consolePort: await freePort(),
    say,
  })
  const platform = await starting.finally(() => {
    if (before === undefined) delete process.env.DATABASE_URL
    else process.env.DATABASE_URL = before
  })
  await atEnd(async () => {
    if (platform.child.exitCode === null && platform.child.signalCode === null) platform.signal('SIGTERM')
    await platform.exited
  })
  const key = await apiKey(platform)
  const skus = await orderable(platform, { least: 1_000_000, count: 400 })
  return {
    label: 'ours',
    target: {
      port: Number(new URL(platform.announced.byPath).port),
      hostName: 'shop.localhost',
      headers: { authorization: `Bearer ${key}` },
    },
    work: workOn(skus),
    checkBooks: async () => {
      const { ok, problems } = await platform.call('shop', 'site.shop-admin', 'checkInvariants')
      if (!ok) throw new Error(`the books do not hold after the run: ${problems.slice(0, 3).join('; ')}`)
    },
  }
}

function workOn(skus) {
  const pick = (worker, index) => skus[(worker * 131 + index * 17) % skus.length]
  const read = async (client, path) => answered(200, await client.call('GET', path))
  return {
    list: (client, worker, index) => read(client, `/api/products?limit=20&offset=${((worker * 7 + index) % 49) * 20}`),
    detail: (client, worker, index) => read(client, `/api/products/${pick(worker, index).slug}`),
    search: (client, worker, index) => read(client, `/api/search?text=${words[(worker + index) % 7]}`),
    page: (client, worker, index) => read(client, `/${index % 2 ? 'en' : 'zh-CN'}/product/${pick(worker, index).slug}`),
    order: async (client, worker, index) => {
      const first = pick(worker, index).sku
      const other = pick(worker + 1, index + 3).sku
      const second = other === first ? pick(worker + 2, index + 5).sku : other
      const order = {
        lines: [
          { sku: first, quantity: 1 },
          { sku: second, quantity: 1 },
        ],
        language: 'en',
        address,
      }
      const headers = { 'idempotency-key': randomUUID() }
      return answered(201, await client.call('POST', '/api/orders', JSON.stringify(order), headers))
    },
  }
}
