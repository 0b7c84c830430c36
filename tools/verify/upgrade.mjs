// Template 1.0.0 to 1.1.0 (with a data migration) and back under load; a 1.2.0 that never gets healthy reverts by itself;
// two sites run 1.0.0 and 1.1.0 side by side.
import { randomUUID } from 'node:crypto'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { closedLoop, httpCaller } from './_http.mjs'
import { address, apiKey, orderable, root, sleep, until, withPlatform } from './_platform.mjs'
import { neverHealthy, pushVariant, shopTemplate, withMigration } from './_variants.mjs'

const leastRequests = 20_000

export async function verify({ say }) {
  return withPlatform({ say }, async platform => {
    const siteDir = join(root, 'examples/shop')
    const key = await apiKey(platform)
    const skus = await orderable(platform, { least: 1_000_000, count: 20 })
    const http = httpCaller({ port: platform.edgePort, hostName: platform.hostName, apiKey: key, sockets: 32 })
    const first = (await platform.client.getSite({ site: 'shop' })).servingVersion
    const second = await pushVariant(platform, siteDir, withMigration())
    const third = await pushVariant(platform, siteDir, neverHealthy())
    const stop = { now: false }
    const figures = { requests: 0, failed: 0, orders: 0 }
    const examples = []
    const paths = [
      '/en/',
      '/api/products?limit=20',
      ...skus.slice(0, 6).flatMap(sku => [`/en/product/${sku.slug}`, `/api/products/${sku.slug}`]),
    ]
    const load = closedLoop(16, stop, async (worker, round) => {
      const order = (worker + round) % 20 === 0
      const answer = order
        ? await http.call('POST', '/api/orders', {
            body: { lines: [{ sku: skus[(worker + round) % skus.length].sku, quantity: 1 }], language: 'en', address },
            headers: { 'idempotency-key': randomUUID() },
          })
        : await http.call('GET', paths[(worker + round) % paths.length])
      figures.requests += 1
      if (order) figures.orders += 1
      if (answer.status !== (order ? 201 : 200)) {
        figures.failed += 1
        examples.push(`${answer.status} ${answer.text.slice(0, 160)}`)
      }
    })
    const rollTo = async (version, ok) => {
      await platform.client.deploy({ site: 'shop', version })
      const at = performance.now()
      const view = await until(
        `version ${version} to ${ok ? 'serve' : 'be given up'}`,
        async () => {
          const site = await platform.client.getSite({ site: 'shop' })
          if (!site.settled) return false
          return ok
            ? site.servingVersion === version && site.phase === 'live' && site
            : site.failure?.version === version && site
        },
        120,
      )
      say(
        `version ${version}: ${view.phase}, ${view.servingVersion} serves after ${((performance.now() - at) / 1000).toFixed(1)} s; ${figures.requests} requests, ${figures.failed} failed`,
      )
      return view
    }
    await sleep(500)
    await rollTo(second, true)
    const level = await columnThere(platform)
    await rollTo(first, true)
    const given = await rollTo(third, false)
    await until(`${leastRequests} requests`, () => figures.requests >= leastRequests, 180)
    const side = await sideBySide(platform, siteDir, say)
    stop.now = true
    await load
    http.close()
    const invariants = await platform.call('shop', 'site.shop-admin', 'checkInvariants')
    return {
      ok:
        figures.failed === 0 &&
        figures.requests >= leastRequests &&
        level &&
        given.servingVersion === first &&
        side.ok &&
        invariants.ok,
      ...figures,
      migrated: level,
      gaveUp: given.failure,
      servingAfterGivingUp: given.servingVersion,
      sideBySide: side.versions,
      invariants,
      examples: examples.slice(0, 3),
    }
  })
}

/** The audit of migrations is part of the site's own database; the shop's admin contract does not show it, psql does. */
async function columnThere(platform) {
  const { default: pg } = await import('pg')
  const desired = JSON.parse(readFileSync(join(platform.home, 'host/desired.json'), 'utf8'))
  const state = desired.state ?? desired
  const client = new pg.Client({ connectionString: state.sites.find(site => site.site === 'shop').databaseUrl })
  await client.connect()
  const { rows } = await client.query('select count(*)::int as filled from trade_order where buyer_search is not null')
  await client.end()
  return rows[0].filled >= 0
}

/** A second shop on 1.1.0 beside the first on 1.0.0, both serving. */
async function sideBySide(platform, siteDir, say) {
  const dir = mkdtempSync(join(tmpdir(), 'aaas-second-'))
  try {
    cpSync(siteDir, dir, { recursive: true })
    const site = JSON.parse(readFileSync(join(dir, 'site.json'), 'utf8'))
    writeFileSync(join(dir, 'site.json'), JSON.stringify({ ...site, name: 'second' }))
    const version = await pushVariant(platform, dir, withMigration(), 'second')
    await platform.client.deploy({ site: 'second', version })
    await until(
      'the second site',
      async () => {
        const view = await platform.client.getSite({ site: 'second' })
        return view.settled && view.phase === 'live'
      },
      120,
    )
    const templates = []
    for (const name of ['shop', 'second']) {
      const { servingVersion } = await platform.client.getSite({ site: name })
      const { versions } = await platform.client.listVersions({ site: name })
      templates.push(`${name} ${versions.find(one => one.version === servingVersion).template.version}`)
    }
    const http = httpCaller({ port: platform.edgePort, hostName: 'second.localhost' })
    const page = await http.call('GET', '/en/')
    http.close()
    say(`side by side: ${templates.join(', ')}`)
    return {
      ok: page.status === 200 && templates.join() === `shop ${shopTemplate.version},second 1.1.0`,
      versions: templates,
    }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}
