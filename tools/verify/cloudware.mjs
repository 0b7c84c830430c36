// A package extends the running shop and is taken off again: no restart, no lost request, no byte of the shop changed.
// Packages that throw, hang or eat memory hurt nobody but themselves.
import { createHash, randomUUID } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { pay, untilState } from './_buyer.mjs'
import { closedLoop, httpCaller } from './_http.mjs'
import { address, apiKey, orderable, root, sleep, until, withPlatform } from './_platform.mjs'

const extension = join(root, 'examples/extend-with-cloudware')

export async function verify({ say }) {
  return withPlatform({ say }, async platform => {
    const key = await apiKey(platform)
    const [target, other] = await orderable(platform, { least: 1_000_000, count: 2 })
    const http = httpCaller({ port: platform.edgePort, hostName: platform.hostName, apiKey: key, sockets: 24 })
    const digestBefore = shopDigest(platform)
    const pidsBefore = await pids(platform)
    const load = startLoad(http, target, other)
    const facts = {}

    const quote = groups =>
      platform.call('shop', 'business.pricing', 'quote', {
        lines: [{ sku: target.sku, quantity: 1 }],
        buyer: { groups },
      })
    const place = (quantity, sku = target.sku) =>
      http.call('POST', '/api/orders', {
        body: { lines: [{ sku, quantity }], language: 'en', address },
        headers: { 'idempotency-key': randomUUID() },
      })
    const plain = await quote(['vip'])
    await platform.cli(['cloudware', 'add', 'shop', extension, '--wait'])
    await until('every instance to have the package', () => loaded(platform, 'vip-pricing'))
    const vip = await quote(['vip'])
    const normal = await quote([])
    facts.vipDiscount = { before: plain.lines[0].amount, vip: vip.lines[0].amount, others: normal.lines[0].amount }
    const expected = plain.lines[0].amount - Math.floor((plain.lines[0].amount * 5) / 100)
    const discountOk = Math.abs(vip.lines[0].amount - expected) <= 1 && normal.lines[0].amount === plain.lines[0].amount
    const four = await place(4)
    const three = await place(3)
    facts.fourRefused = `${four.status} ${JSON.parse(four.text).error?.code}`
    facts.threeTaken = three.status
    const number = JSON.parse(three.text).number
    await pay(platform, number)
    await untilState(platform, number, 'paid')
    const view = await until('the console section to count the paid order', async () => {
      const { views } = await platform.call('shop', 'site.shop-admin', 'consoleViews', { language: 'en' })
      const text = JSON.stringify(views.find(one => one.package === 'vip-pricing')?.view ?? '')
      return /"value":"[1-9]/.test(text) && text
    })
    say(`extension at work: ${JSON.stringify(facts)}; console section ${view.slice(0, 160)}`)
    await platform.cli(['cloudware', 'remove', 'shop', 'vip-pricing', '--wait'])
    await until('the package to be gone', async () => (await quote(['vip'])).lines[0].amount === plain.lines[0].amount)
    const fourAgain = await place(4)
    facts.fourTakenAfterRemoval = fourAgain.status

    facts.misbehaving = []
    for (const name of ['throws', 'hangs', 'eats-memory']) {
      const added = await platform.cli(['cloudware', 'add', 'shop', join(extension, 'misbehaving', name)])
      const one = added.cloudware.find(row => row.instances !== undefined && !['vip-pricing'].includes(row.name))
      const status = await until(
        `${name} to misbehave`,
        async () => {
          await quote([])
          await place(1)
          const site = await platform.client.getSite({ site: 'shop' })
          const row = site.cloudware.find(row => row.name === one.name)
          return row?.instances.some(instance => instance.failures > 0 || instance.restarts > 0) && row
        },
        40,
      )
      const sold = await place(1)
      facts.misbehaving.push({
        name,
        sold: sold.status,
        failures: status.instances.reduce((sum, row) => sum + row.failures, 0),
        lastError: status.instances.find(row => row.lastError)?.lastError?.slice(0, 100),
      })
      say(`${name}: ${JSON.stringify(facts.misbehaving.at(-1))}`)
      await platform.cli(['cloudware', 'remove', 'shop', one.name, '--wait'])
    }
    const figures = await load.stop()
    http.close()
    const same = shopDigest(platform) === digestBefore
    const samePids = JSON.stringify(await pids(platform)) === JSON.stringify(pidsBefore)
    const ok =
      discountOk &&
      four.status === 422 &&
      three.status === 201 &&
      fourAgain.status === 201 &&
      figures.failed === 0 &&
      same &&
      samePids &&
      facts.misbehaving.every(one => one.sold === 201)
    return {
      ok,
      ...facts,
      requests: figures.requests,
      failedRequests: figures.failed,
      examples: figures.examples,
      shopPackageDigest: digestBefore.slice(0, 16),
      digestUnchanged: same,
      sameProcesses: samePids,
    }
  })
}

function startLoad(http, target, other) {
  const stop = { now: false }
  const figures = { requests: 0, failed: 0, examples: [] }
  const paths = ['/en/', `/en/product/${target.slug}`, '/api/products?limit=20']
  const done = closedLoop(4, stop, async (worker, round) => {
    const order = round % 10 === 0
    const answer = order
      ? await http.call('POST', '/api/orders', {
          body: { lines: [{ sku: other.sku, quantity: 1 }], language: 'en', address },
          headers: { 'idempotency-key': randomUUID() },
        })
      : await http.call('GET', paths[round % paths.length])
    figures.requests += 1
    if (answer.status !== (order ? 201 : 200)) {
      figures.failed += 1
      figures.examples.push(`${answer.status} ${answer.text.slice(0, 120)}`)
    }
    await sleep(5)
  })
  return {
    async stop() {
      stop.now = true
      await done
      return { ...figures, examples: figures.examples.slice(0, 3) }
    },
  }
}

async function loaded(platform, name) {
  const site = await platform.client.getSite({ site: 'shop' })
  const row = site.cloudware.find(one => one.name === name)
  return row?.instances.length === site.wantedInstances && row.instances.every(one => one.state === 'ready')
}

async function pids(platform) {
  const site = await platform.client.getSite({ site: 'shop' })
  return site.instances.map(one => one.pid).sort()
}

/** SHA-256 over every byte of the unpacked package that the shop's instances run. */
function shopDigest(platform) {
  const packages = join(platform.home, 'host/packages')
  const desired = JSON.parse(readFileSync(join(platform.home, 'host/desired.json'), 'utf8'))
  const dir = join(packages, (desired.state ?? desired).sites.find(site => site.site === 'shop').package.digest)
  const hash = createHash('sha256')
  for (const name of readdirSync(dir, { recursive: true }).sort()) {
    const path = join(dir, name)
    if (statSync(path).isFile()) hash.update(name).update(readFileSync(path))
  }
  return hash.digest('hex')
}
