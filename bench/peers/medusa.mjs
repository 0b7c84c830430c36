// Medusa as a system under load: one process, store API, the fewest calls that complete an order.
import { randomUUID } from 'node:crypto'
import { copyFileSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../tools/verify/_platform.mjs'
import { words } from '../floor.mjs'
import { answered, caller } from '../load.mjs'
import { runProgram, startProgram } from '../one-server.mjs'

export const medusa = {
  name: 'Medusa',
  packageName: '@medusajs/medusa',
  variable: 'AAAS_PEER_MEDUSA',
  install: 'npm i --save-exact @medusajs/medusa@2.21.2 @medusajs/framework@2.21.2 @medusajs/cli@2.21.2',
  // Its most orders per second are reached here; at 16 they queue for minutes.
  orderCallers: 4,
  start,
}

/** Migrates and fills a database of the server (a minute or two) and starts Medusa on it, in a folder of its own. */
async function start({ folder, catalogueFile, database, dir, atEnd }) {
  const home = join(dir, 'medusa')
  mkdirSync(home)
  symlinkSync(join(folder, 'node_modules'), join(home, 'node_modules'))
  copyFileSync(join(folder, 'package.json'), join(home, 'package.json'))
  const here = name => fileURLToPath(new URL(name, import.meta.url))
  copyFileSync(here('medusa-config.cjs'), join(home, 'medusa-config.js'))
  const url = await database('medusa')
  const program = (args, seconds) => ({
    what: `Medusa (${args[0]})`,
    file: join(home, 'node_modules/@medusajs/cli/cli.js'),
    args,
    cwd: home,
    env: {
      NODE_ENV: 'production',
      DATABASE_URL: url.href,
      BENCH_CATALOGUE: catalogueFile,
      BENCH_SECRET: randomUUID(),
      MEDUSA_DISABLE_TELEMETRY: '1',
    },
    seconds,
    atEnd,
  })
  await runProgram(program(['db:migrate'], 180))
  const { key, region, option } = await runProgram(program(['exec', here('medusa-fill.mjs')], 180))
  const port = await freePort()
  const target = { port, keepBody: true, headers: { 'x-publishable-api-key': key } }
  const serve = program(['start', '--host', '127.0.0.1', '--port', String(port)], 60)
  await startProgram({ ...serve, ready: () => healthy(target) })
  return { target, work: await workOn({ target, region, option }) }
}

async function healthy(target) {
  const client = caller({ ...target, sockets: 1 })
  const probe = () => client.call('GET', '/health').catch(() => ({ status: 0 }))
  while ((await probe()).status !== 200) await pause(100)
  client.close()
}

async function workOn({ target, region, option }) {
  const client = caller({ ...target, sockets: 1 })
  const products = []
  for (let offset = 0; offset === products.length; offset += 100) {
    const page = `/store/products?limit=100&offset=${offset}&order=id&fields=id,variants.id`
    products.push(...(await ask(client, 'GET', page)).products)
  }
  client.close()
  const fields = `region_id=${region}&fields=id,title,handle,*variants.calculated_price,%2Bvariants.inventory_quantity`
  const run = Date.now()
  let orders = 0
  const variant = at => products[at % products.length].variants[0].id
  const read = (client, path) => ask(client, 'GET', `/store/products${path}${fields}`)
  return {
    list: async (client, worker, index) => {
      const given = await read(client, `?limit=20&offset=${((worker * 7 + index) % 49) * 20}&`)
      if (given.products.length !== 20) throw new Error(`Medusa listed ${given.products.length} products`)
    },
    detail: (client, worker, index) => read(client, `/${products[(worker * 131 + index) % products.length].id}?`),
    search: (client, worker, index) => read(client, `?limit=20&q=${encodeURIComponent(words[(worker + index) % 7])}&`),
    order: async (client, worker, index) => {
      const at = worker * 131 + index * 17
      const place = { first_name: 'Li', last_name: 'Lei', address_1: '1 Road', city: 'X', postal_code: '1' }
      const { cart } = await ask(client, 'POST', '/store/carts', {
        region_id: region,
        email: `${run}-${orders++}@example.com`,
        shipping_address: { ...place, country_code: 'de' },
        items: [at, at + 1].map(one => ({ variant_id: variant(one), quantity: 1 })),
      })
      await ask(client, 'POST', `/store/carts/${cart.id}/shipping-methods`, { option_id: option })
      const paid = await ask(client, 'POST', '/store/payment-collections', { cart_id: cart.id })
      const sessions = `/store/payment-collections/${paid.payment_collection.id}/payment-sessions`
      await ask(client, 'POST', sessions, { provider_id: 'pp_system_default' })
      const { type, error } = await ask(client, 'POST', `/store/carts/${cart.id}/complete`, {})
      if (type !== 'order') throw new Error(`Medusa made no order: ${error?.message ?? type}`)
    },
  }
}

async function ask(client, method, path, body) {
  return JSON.parse(answered(200, await client.call(method, path, body && JSON.stringify(body))).text)
}
