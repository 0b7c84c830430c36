// Control is killed (-9) and kept down; sites go on serving and selling, the host replaces a crashed instance; control comes back.
import { randomUUID } from 'node:crypto'
import { httpCaller } from './_http.mjs'
import { address, alive, apiKey, descendants, orderable, sleep, until, withPlatform } from './_platform.mjs'

const downSeconds = 15

export async function verify({ say }) {
  return withPlatform({ say }, async platform => {
    const key = await apiKey(platform)
    const skus = await orderable(platform, { least: 100_000, count: 5 })
    const before = await platform.client.listSites({})
    const http = httpCaller({ port: platform.edgePort, hostName: platform.hostName, apiKey: key })
    const control = () => descendants(platform.child.pid).find(one => one.command.includes('system-control-main'))
    const instances = () =>
      descendants(platform.child.pid).filter(
        one => one.command.includes('instance') && !one.command.includes('cloudware'),
      )
    const shop = before.sites.find(site => site.site === 'shop')
    let kills = 0
    let gets = 0
    let orders = 0
    const failures = []
    const end = performance.now() + downSeconds * 1000
    const victim = shop.instances.find(one => one.state === 'ready').pid
    let killedInstance = false
    while (performance.now() < end) {
      const found = control()
      if (found) {
        process.kill(found.pid, 'SIGKILL')
        kills += 1
      }
      if (!killedInstance && performance.now() > end - (downSeconds - 3) * 1000) {
        process.kill(victim, 'SIGKILL')
        killedInstance = true
        say(`control is down, instance ${victim} killed too`)
      }
      const page = await http.call('GET', `/en/product/${skus[gets % skus.length].slug}`)
      gets += 1
      if (page.status !== 200) failures.push(`GET ${page.status}`)
      const headers = { 'idempotency-key': randomUUID() }
      const body = { lines: [{ sku: skus[gets % skus.length].sku, quantity: 1 }], language: 'en', address }
      let sold = await http.call('POST', '/api/orders', { body, headers })
      for (let attempt = 0; sold.status !== 201 && attempt < 10; attempt++) {
        await sleep(100)
        sold = await http.call('POST', '/api/orders', { body, headers })
      }
      if (sold.status === 201) orders += 1
      else failures.push(`POST ${sold.status} ${sold.text.slice(0, 100)}`)
    }
    const replaced = instances().length
    say(`control killed ${kills} times; ${gets} pages and ${orders} orders meanwhile, ${failures.length} failures`)
    await until(
      'control to come back',
      async () => (await platform.client.listSites({}).catch(() => undefined)) !== undefined,
      40,
    )
    const after = await until('the host to report again', async () => {
      const view = await platform.client.getSite({ site: 'shop' }).catch(() => undefined)
      const ready = view?.instances.filter(one => one.state === 'ready') ?? []
      return (
        ready.length === shop.wantedInstances &&
        ready.every(one => alive(one.pid)) &&
        !ready.some(one => one.pid === victim) &&
        view
      )
    })
    const sites = (await platform.client.listSites({})).sites
    http.close()
    return {
      ok:
        failures.length === 0 &&
        orders > 0 &&
        kills > 0 &&
        sites.length === before.sites.length &&
        after.servingVersion === shop.servingVersion,
      seconds: downSeconds,
      controlKills: kills,
      pages: gets,
      orders,
      failures: failures.slice(0, 3),
      instanceProcesses: replaced,
      sites: sites.length,
    }
  })
}
