// Under open-loop load, an instance is killed (-9) ten times.
import { randomUUID } from 'node:crypto'
import { httpCaller } from './_http.mjs'
import { address, apiKey, median, orderable, sleep, until, withPlatform } from './_platform.mjs'

const getsPerSecond = 80
const ordersPerSecond = 15

export async function verify({ say }) {
  return withPlatform({ say }, async platform => {
    const key = await apiKey(platform)
    const skus = await orderable(platform, { least: 100_000, count: 20 })
    const before = (await platform.call('shop', 'business.order', 'list', { limit: 1 })).total
    const http = httpCaller({ port: platform.edgePort, hostName: platform.hostName, apiKey: key, sockets: 512 })
    const gets = { sent: 0, failed: [] }
    const orders = { keys: 0, numbers: [], retried: 0, failed: [] }
    const running = new Set()
    const track = promise => running.add(promise.finally(() => running.delete(promise)))
    let loading = true
    const pace = async (perSecond, send) => {
      const start = performance.now()
      for (let index = 0; loading; index++) {
        const wait = start + (index * 1000) / perSecond - performance.now()
        if (wait > 0) await sleep(wait)
        const work = send(index)
        track(work)
      }
    }
    const paths = ['/en/', `/en/product/${skus[0].slug}`, '/api/products?limit=20', `/api/products/${skus[1].slug}`]
    const browse = async index => {
      gets.sent += 1
      const answer = await http.call('GET', paths[index % paths.length])
      if (answer.status !== 200) gets.failed.push(`${answer.status} ${answer.text.slice(0, 100)}`)
    }
    const buy = async index => {
      orders.keys += 1
      const headers = { 'idempotency-key': randomUUID() }
      const body = { lines: [{ sku: skus[index % skus.length].sku, quantity: 1 }], language: 'en', address }
      // A buyer whose connection broke asks again with the same key: that must neither lose nor double the order.
      for (let attempt = 1; ; attempt++) {
        const answer = await http.call('POST', '/api/orders', { body, headers })
        if (answer.status === 201) return orders.numbers.push(JSON.parse(answer.text).number)
        if (attempt === 20) return orders.failed.push(`${answer.status} ${answer.text.slice(0, 100)}`)
        orders.retried += 1
        await sleep(100)
      }
    }
    const load = Promise.all([pace(getsPerSecond, browse), pace(ordersPerSecond, buy)])
    const readyAfterMs = []
    for (let round = 1; round <= 10; round++) {
      await sleep(1_000)
      const view = await until('two ready instances', async () => {
        const site = await platform.client.getSite({ site: 'shop' })
        return site.instances.filter(one => one.state === 'ready').length === 2 && site
      })
      const victim = view.instances.filter(one => one.state === 'ready')[round % 2]
      const known = new Set(view.instances.map(one => one.pid))
      process.kill(victim.pid, 'SIGKILL')
      const killedAt = Date.now()
      const fresh = await until('a replacement', async () => {
        const site = await platform.client.getSite({ site: 'shop' })
        const ready = site.instances.filter(one => one.state === 'ready')
        return ready.length === 2 && ready.find(one => !known.has(one.pid))
      })
      readyAfterMs.push(Date.now() - killedAt)
      say(
        `kill ${round}: instance ${victim.id} (pid ${victim.pid}), replacement pid ${fresh.pid} ready after ${readyAfterMs.at(-1)} ms`,
      )
    }
    await sleep(1_000)
    loading = false
    await load
    await Promise.all(running)
    http.close()
    const after = (await platform.call('shop', 'business.order', 'list', { limit: 1 })).total
    const missing = []
    for (const number of orders.numbers) {
      const order = await platform.call('shop', 'business.order', 'get', { number }).catch(error => error)
      if (order.number !== number) missing.push(number)
    }
    const distinct = new Set(orders.numbers).size
    const invariants = await platform.call('shop', 'site.shop-admin', 'checkInvariants')
    const figures = {
      gets: gets.sent,
      failedGets: gets.failed.length,
      orders: orders.keys,
      acknowledged: distinct,
      lost: missing.length,
      doubled: after - before - orders.keys,
      failedOrders: orders.failed.length,
      retriedPosts: orders.retried,
      readyAfterMsMedian: median(readyAfterMs),
      readyAfterMsMax: Math.max(...readyAfterMs),
      invariants,
    }
    const ok =
      figures.failedGets === 0 &&
      figures.lost === 0 &&
      figures.doubled === 0 &&
      figures.failedOrders === 0 &&
      distinct === orders.keys &&
      figures.readyAfterMsMedian <= 2_000 &&
      invariants.ok
    return { ok, ...figures, examples: [...gets.failed.slice(0, 3), ...orders.failed.slice(0, 3)] }
  })
}
