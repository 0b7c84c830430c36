// Complete orders and storefront reads: ours through the edge and two instances, beside two floors on the same server.
import { execFileSync, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { silentLogger, systemClock, systemIds } from '../../packages/core-cloud/dist/src/kernel/index.js'
import { createDatabase, pgDatabase, startPostgres } from '../../packages/support-cloud/dist/src/rdbms/index.js'
import { address, apiKey, freePort, orderable, startPlatform } from '../../tools/verify/_platform.mjs'
import { caller, closedLoop, figures } from '../load.mjs'

const rounds = 3
const seconds = 2
const callers = [1, 16, 64]

export async function bench({ say }) {
  const dir = mkdtempSync(join(tmpdir(), 'aaas-b-'))
  const clock = systemClock({ keepAlive: true })
  const postgres = await startPostgres({
    dataDir: join(dir, 'data'),
    socketDir: join(dir, 'run'),
    clock,
    ids: systemIds(),
    logger: silentLogger,
  })
  // The platform and the floors share one server, so that neither has a better database than the other.
  process.env.DATABASE_URL = postgres.url
  const platform = await startPlatform({
    home: join(dir, 'home'),
    edgePort: await freePort(),
    consolePort: await freePort(),
    say,
  })
  const floor = await startFloor(postgres.url)
  try {
    return await measure({ platform, floor, say, dir })
  } finally {
    floor.child.kill()
    platform.signal('SIGTERM')
    await platform.exited
    await postgres[Symbol.asyncDispose]()
    rmSync(dir, { recursive: true, force: true })
  }
}

async function startFloor(adminUrl) {
  const admin = pgDatabase({ url: adminUrl, maxConnections: 1 })
  await createDatabase({ admin, name: 'floor' })
  await admin[Symbol.asyncDispose]()
  const url = new URL(adminUrl)
  url.pathname = '/floor'
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  await client.query(readFileSync(new URL('floor-schema.sql', import.meta.url), 'utf8'))
  await client.end()
  const child = fork(fileURLToPath(new URL('floor-server.mjs', import.meta.url)), [url.href])
  const { port } = await new Promise(resolve => child.once('message', resolve))
  return { child, port, url }
}

async function measure({ platform, floor, say, dir }) {
  const key = await apiKey(platform)
  const skus = await orderable(platform, { least: 1_000_000, count: 400 })
  const words = ['cup', 'lamp', 'bag', 'steel', 'tea', 'cotton', 'blue']
  const floorWords = ['kettle', 'laptop', 'red', 'silent chair', 'drill', 'office', 'camera']
  const edge = new URL(platform.announced.byPath)
  const port = Number(edge.port)
  const ok = (wanted, answer) => {
    if (answer.status !== wanted) throw new Error(`${answer.status} instead of ${wanted}: ${answer.text.slice(0, 300)}`)
  }
  const pick = (worker, index) => skus[(worker * 131 + index * 17) % skus.length]
  const work = {
    list: {
      floor: (c, w, i) => c.call('GET', `/list?o=${((w * 7 + i) % 49) * 20}`),
      ours: (c, w, i) => c.call('GET', `/api/products?limit=20&offset=${((w * 7 + i) % 49) * 20}`),
    },
    detail: {
      floor: (c, w, i) => c.call('GET', `/detail?s=p-${1 + ((w * 131 + i) % 999)}`),
      ours: (c, w, i) => c.call('GET', `/api/products/${pick(w, i).slug}`),
    },
    search: {
      floor: (c, w, i) => c.call('GET', `/search?t=${encodeURIComponent(floorWords[(w + i) % 7])}`),
      ours: (c, w, i) => c.call('GET', `/api/search?text=${words[(w + i) % 7]}`),
    },
    page: {
      floor: (c, w, i) => c.call('GET', `/detail?s=p-${1 + ((w * 131 + i) % 999)}`),
      ours: (c, w, i) => c.call('GET', `/${i % 2 ? 'en' : 'zh-CN'}/product/${pick(w, i).slug}`),
    },
    order: {
      floor: (c, w, i) =>
        c.call(
          'POST',
          '/order',
          JSON.stringify({ b: w, x: 1 + ((w * 131 + i * 17) % 1000), y: 1 + ((w * 37 + i * 13) % 1000) }),
        ),
      ours: (c, w, i) =>
        c.call(
          'POST',
          '/api/orders',
          JSON.stringify({
            lines: [
              { sku: pick(w, i).sku, quantity: 1 },
              {
                sku: pick(w + 1, i + 3).sku === pick(w, i).sku ? pick(w + 2, i + 5).sku : pick(w + 1, i + 3).sku,
                quantity: 1,
              },
            ],
            language: 'en',
            address,
          }),
          { 'idempotency-key': randomUUID() },
        ),
    },
  }
  const all = figures()
  for (let round = 1; round <= rounds; round++) {
    for (const [name, { floor: atFloor, ours }] of Object.entries(work)) {
      for (const c of callers) {
        for (const [who, send, target] of [
          ['floor', atFloor, { port: floor.port }],
          ['ours', ours, { port, hostName: 'shop.localhost', headers: { authorization: `Bearer ${key}` } }],
        ]) {
          const client = caller({ ...target, sockets: c })
          const result = await closedLoop({
            callers: c,
            seconds,
            send: async (w, i) => ok(name === 'order' && who === 'ours' ? 201 : 200, await send(client, w, i)),
          })
          client.close()
          all.add(`${name} ${who} c=${c}`, '1/s', result.perSecond)
          all.add(`${name} ${who} c=${c} p99`, 'ms', result.p99)
        }
      }
      say(
        `round ${round} ${name}: ours ${Math.round(all.median(`${name} ours c=16`))}/s, node-floor ${Math.round(all.median(`${name} floor c=16`))}/s at 16 callers`,
      )
    }
    const pgbench = runPgbench(floor.url, dir)
    if (pgbench !== undefined) all.add('order pgbench c=16', '1/s', pgbench)
  }
  const ratio = (name, over, must, better = 'higher', suffix = '') => ({
    name: `${name} ours / node-floor${suffix} at 16 callers`,
    value:
      Math.round((all.median(`${name} ours c=16${suffix}`) / all.median(`${over} floor c=16${suffix}`)) * 1000) / 1000,
    must,
    better,
  })
  const invariants = await platform.call('shop', 'site.shop-admin', 'checkInvariants')
  if (!invariants.ok)
    throw new Error(`the books do not hold after the run: ${invariants.problems.slice(0, 3).join('; ')}`)
  return {
    rows: all.rows(),
    ratios: [
      ratio('order', 'order', 0.3),
      ratio('order', 'order', 4, 'lower', ' p99'),
      ratio('list', 'list', 0.4),
      ratio('detail', 'detail', 0.4),
      ratio('search', 'search', 0.4),
      ratio('page', 'page', 0.3),
    ],
  }
}

/** Orders per second of the floor's SQL function without any Node; undefined where pgbench is not installed. */
function runPgbench(url, dir) {
  const bin = [
    '/usr/bin/pgbench',
    ...(existsSync('/usr/lib/postgresql')
      ? readdirSync('/usr/lib/postgresql').map(version => `/usr/lib/postgresql/${version}/bin/pgbench`)
      : []),
  ].find(existsSync)
  if (bin === undefined) return undefined
  const script = join(dir, 'place.sql')
  writeFileSync(
    script,
    '\\set b random(1,100000)\n\\set a random(1,1000)\n\\set c random(1,1000)\nselect place(:b,:a,:c);\n',
  )
  const out = execFileSync(
    bin,
    ['-n', '-M', 'prepared', '-c16', '-j2', `-T${seconds}`, '-f', script, url.pathname.slice(1)],
    {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      env: {
        ...process.env,
        PGHOST: url.searchParams.get('host') ?? url.hostname,
        PGUSER: url.username,
        PGPASSWORD: decodeURIComponent(url.password),
      },
    },
  )
  return Number(/tps = ([\d.]+)/.exec(out)?.[1])
}
