// Two hundred sites get a database each from a template, migrate, work a little and are dropped, side by side, on a
// server of their own; all their pools together keep to one budget of connections.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger, systemClock, systemIds } from '../../packages/core-cloud/dist/src/kernel/index.js'
import {
  connectionBudget,
  dropDatabase,
  ensureTemplate,
  migrate,
  pgDatabase,
  provisionDatabase,
  startPostgres,
} from '../../packages/support-cloud/dist/src/rdbms/index.js'
import { transactionMigrations } from '../../packages/support-cloud/dist/src/transaction/index.js'

const sites = Number(process.env.AAAS_VERIFY_SITES ?? 200)
const sideBySide = 8
const budgetMax = 24
/** Connections of this program: the budget, the makers' own (two each), the sampler. The server allows 100. */
const mostConnections = budgetMax + 2 * sideBySide + 2
const template = 'site-template'
const shop = {
  owner: 'verify/shop',
  migrations: [
    {
      level: 1,
      name: 'tables',
      up: Array.from(
        { length: 12 },
        (_, n) =>
          `create table shop_${n} (id bigint generated always as identity primary key, name text not null, at timestamptz not null default now()); create index on shop_${n} (name)`,
      ).join(';'),
    },
  ],
}
/** What a site's own release adds after the copy. */
const grown = {
  ...shop,
  migrations: [...shop.migrations, { level: 2, name: 'colour', up: 'alter table shop_1 add column colour text' }],
}

export const verify = async ({ say }) => {
  const home = mkdtempSync(join(tmpdir(), 'aaas-tn-'))
  const [clock, ids] = [systemClock({ keepAlive: true }), systemIds()]
  const server = await startPostgres({
    dataDir: join(home, 'data'),
    socketDir: join(home, 'run'),
    clock,
    ids,
    logger: silentLogger,
  })
  const adminUrl = server.url
  const admin = pgDatabase({ url: adminUrl, maxConnections: 1 })
  let most = 0
  let sampling = true
  const sampler = (async () => {
    while (sampling) {
      const [row] = await admin.query({
        text: `select count(*) as n from pg_stat_activity where backend_type = 'client backend'`,
      })
      most = Math.max(most, row.n)
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  })()
  try {
    const before = { server: serverMb(home), own: ownMb() }
    const templateMs = await timed(() =>
      ensureTemplate({ adminUrl, name: template, migrations: [transactionMigrations, shop] }),
    )
    const floor = await median(5, async n => {
      await admin.query({ text: `create database floor_${n} template "${template}"` })
      await admin.query({ text: `drop database floor_${n}` })
    })
    const names = Array.from({ length: sites }, (_, n) => `site-${n}`)
    const budget = connectionBudget({ max: budgetMax })
    const databases = new Array(sites)
    const createMs = await each(names, async (name, index) => {
      const { url } = await provisionDatabase({ adminUrl, ids, name, template, connectionLimit: 5 })
      databases[index] = pgDatabase({ url, maxConnections: 3, budget, connectTimeoutMs: 60_000 })
    })
    say(
      `${sites} sites made in ${seconds(createMs.total)} s, ${createMs.each} ms each side by side (create and drop of a bare copy, alone: ${floor} ms)`,
    )
    const migrateMs = await each(databases, async database => {
      const steps = await migrate(database, [transactionMigrations, grown])
      if (steps.length !== 1) throw new Error(`ran ${steps.length} steps`)
    })
    // All at once: 200 pools with three callers each, on 24 places.
    const workMs = await timed(() =>
      Promise.all(
        databases.flatMap((database, site) =>
          Array.from({ length: 3 }, async () => {
            for (let n = 0; n < 5; n++) {
              await database.query({
                text: 'insert into shop_1 (name, colour) values ($1, $2)',
                values: [`s${site}`, 'red'],
              })
            }
          }),
        ),
      ),
    )
    const during = { server: serverMb(home), own: ownMb() }
    let wrong = 0
    await each(databases, async (database, site) => {
      const rows = await database.query({ text: 'select name, count(*) as n from shop_1 group by name' })
      if (rows.length !== 1 || rows[0].name !== `s${site}` || rows[0].n !== 15) wrong += 1
    })
    const [size] = await admin.query({
      text: `select avg(pg_database_size(oid))::bigint as n from pg_database where datname like 'site-%' and datname <> '${template}'`,
    })
    await Promise.all(databases.map(database => database[Symbol.asyncDispose]()))
    const dropMs = await each(names, name => dropDatabase({ adminUrl, name }))
    const [left] = await admin.query({
      text: `select (select count(*) from pg_database where datname ~ '^site-[0-9]') + (select count(*) from pg_roles where rolname ~ '^site-[0-9]') as n`,
    })
    sampling = false
    await sampler
    const figures = {
      sites,
      templateMs: Math.round(templateMs),
      bareCopyMs: floor,
      createMs: createMs.each,
      migrateMs: migrateMs.each,
      dropMs: dropMs.each,
      workMs: Math.round(workMs),
      mostConnections: most,
      allowed: mostConnections,
      megabytesPerSite: Math.round(size.n / 1e5) / 10,
      serverMb: [before.server, during.server],
      ownMb: [before.own, during.own],
    }
    return { ok: most <= mostConnections && wrong === 0 && left.n === 0, wrong, left: left.n, ...figures }
  } finally {
    sampling = false
    await sampler.catch(() => undefined)
    await admin[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
    rmSync(home, { recursive: true, force: true })
  }
}

/** Milliseconds of the whole, and per item with `sideBySide` of them under way. */
async function each(items, work) {
  const queue = [...items].entries()
  const total = await timed(() =>
    Promise.all(
      Array.from({ length: sideBySide }, async () => {
        for (const [index, item] of queue) await work(item, index)
      }),
    ),
  )
  return { total, each: Math.round(total / items.length) }
}

async function timed(work) {
  const start = performance.now()
  await work()
  return performance.now() - start
}

async function median(count, work) {
  const times = []
  for (let n = 0; n < count; n++) times.push(await timed(() => work(n)))
  return Math.round(times.sort((a, b) => a - b)[Math.floor(count / 2)])
}

/** Proportional memory of all processes of the server, in MB; shared buffers count once. */
function serverMb(home) {
  const postmaster = Number(readFileSync(join(home, 'data', 'postmaster.pid'), 'utf8').split('\n')[0])
  const children = readFileSync(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean)
  const kilobytes = [postmaster, ...children].map(pid => {
    try {
      return Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0)
    } catch {
      return 0
    }
  })
  return Math.round(kilobytes.reduce((sum, one) => sum + one, 0) / 1024)
}

const ownMb = () => Math.round(process.memoryUsage().rss / 1e6)
const seconds = ms => (ms / 1000).toFixed(1)
