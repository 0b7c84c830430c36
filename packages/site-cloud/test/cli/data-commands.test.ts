import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import {
  createDatabase,
  type Database,
  migrate,
  pgDatabase,
  provisionDatabase,
  type RunningPostgres,
  startPostgres,
} from '@aaas/support-cloud/rdbms'
import { openLedger, transactionMigrations } from '@aaas/support-cloud/transaction'
import t, { test } from 'tap'
import { runCommand } from '../../src/cli/main.js'
import { platformHome, prepareHome } from '../../src/cli/platform-home.js'
import { controlMigrations } from '../../src/site-center/control-migrations.js'

const [clock, ids] = [systemClock({ keepAlive: true }), systemIds()]
const dir = await mkdtemp(join(tmpdir(), 'aaas-dc-'))
const home = platformHome({ AAAS_HOME: join(dir, 'home') })
prepareHome(home)
const start = (): Promise<RunningPostgres> =>
  startPostgres({ dataDir: home.postgresDir, socketDir: home.runDir, clock, ids, logger: silentLogger })
let server = await start()
t.teardown(async () => {
  await server[Symbol.asyncDispose]()
  await rm(dir, { recursive: true, force: true })
})

const at = (name: string): string => {
  const url = new URL(server.url)
  url.pathname = `/${name}`
  return url.href
}

async function within<T>(name: string, work: (database: Database) => Promise<T>): Promise<T> {
  await using database = pgDatabase({ url: at(name), maxConnections: 1 })
  return await work(database)
}

await within('postgres', admin => createDatabase({ admin, name: 'aaas_control' }))
const { url: siteUrl } = await provisionDatabase({ adminUrl: server.url, ids, name: 'site_shop' })
await within('aaas_control', async control => {
  await migrate(control, [controlMigrations])
  const text = `insert into site(name, kind, database_url, generation) values ('shop', 'site', $1, 1)`
  await control.query({ text, values: [siteUrl] })
})
{
  await using site = pgDatabase({ url: siteUrl, maxConnections: 1 })
  await migrate(site, [transactionMigrations])
  const ledger = openLedger({ database: site })
  await ledger.createAccounts(['a', 'b'].map(id => ({ id, currency: 'CNY' })))
  const transfer = {
    kind: 'posted',
    id: ids.uuid(),
    debit: 'a',
    credit: 'b',
    amount: 7,
    currency: 'CNY',
    code: 'x',
  } as const
  await ledger.submit([transfer])
}

/** One command line; `exitCode` is also what it left for the process. */
async function aaas(line: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  const said = { out: [] as string[], err: [] as string[] }
  const json = line.includes('--json')
  const code = await runCommand(line, {
    ...{ home, clock, ids, environment },
    output: { json, line: text => said.out.push(text), error: text => said.err.push(text) },
    interrupted: () => new AbortController().signal,
  })
  const exitCode = code === 0 ? (process.exitCode ?? 0) : code
  process.exitCode = 0
  const parsed = (text: string | undefined): unknown => (text === undefined ? undefined : JSON.parse(text))
  return { exitCode, ...said, ...(json ? { value: parsed(said.out[0]), failure: parsed(said.err[0]) } : {}) }
}

test('a ledger is proved, and the first wrong row named with exit code 1', async t => {
  t.match(await aaas(['ledger', 'verify', 'shop', '--json']), {
    exitCode: 0,
    value: { site: 'shop', ok: true, accounts: 2, transfers: 1, entries: 2 },
    err: [],
  })
  t.match(await aaas(['ledger', 'verify', 'shop']), {
    out: [/^shop: proved/],
    err: ['reading the whole ledger of shop'],
  })
  await within('site_shop', site => site.script(`update ledger_balance set credits_posted = 8 where account = 'b'`))
  t.match(await aaas(['ledger', 'verify', 'shop', '--json']), {
    exitCode: 1,
    value: { ok: false, wrong: { row: 'balance', key: 'b/0' } },
  })
  t.match(await aaas(['ledger', 'verify', 'shop']), { exitCode: 1, out: [/^shop: WRONG: balance b\/0/] })
  await within('site_shop', site => site.script(`update ledger_balance set credits_posted = 7 where account = 'b'`))
  t.match(await aaas(['ledger', 'verify', 'nobody', '--json']), {
    exitCode: 1,
    failure: { error: { code: 'site.center.unknown-site', field: 'name' } },
  })
})

test('a site’s database is cloned beside it', async t => {
  const { exitCode, value } = await aaas(['clone', 'shop', 'shop_monday', '--json'])
  t.equal(exitCode, 0)
  await using copy = pgDatabase({ url: (value as { url: string }).url, maxConnections: 1 })
  t.match(await openLedger({ database: copy }).verify(), { ok: true, transfers: 1 })
  t.match(await aaas(['clone', 'shop', 'shop_monday', '--json']), {
    exitCode: 2,
    failure: { error: { field: 'name' } },
  })
})

test('a backup brings back what was there, and puts aside what is', async t => {
  const backup = join(dir, 'monday')
  t.match(await aaas(['backup', backup]), { exitCode: 0, out: [/monday: PostgreSQL/], err: [/^copying /] })
  t.match(await aaas(['backup', backup, '--json']), { exitCode: 2, failure: { error: { field: 'to' } } })
  await within('site_shop', site => site.script('drop table ledger_balance cascade'))
  t.match(await aaas(['restore', backup, '--json']), { exitCode: 2, failure: { error: { field: 'replace' } } })
  t.match(await aaas(['restore', backup, '--replace', '--json']), {
    exitCode: 1,
    failure: { error: { code: 'core.deploy.already-running' } },
  })
  await server[Symbol.asyncDispose]()
  t.match(await aaas(['restore', join(dir, 'tuesday'), '--replace', '--json']), {
    exitCode: 1,
    failure: { error: { code: 'support.rdbms.backup-failed' } },
  })
  const names = async (): Promise<string[]> =>
    (await readdir(home.dir)).filter(name => name.startsWith('postgres.before'))
  t.same(await names(), [], 'what failed left all in its place')
  t.match(await aaas(['restore', backup, '--replace', '--json']), {
    exitCode: 0,
    value: { dataDir: home.postgresDir, aside: /before-/ },
  })
  t.equal((await names()).length, 2, 'the data and its password')
  server = await start()
  t.match(await aaas(['ledger', 'verify', 'shop', '--json']), { exitCode: 0, value: { ok: true } })
})

test('what cannot be is refused before anything is done', async t => {
  const environment = { DATABASE_URL: 'postgres://elsewhere/x' }
  for (const line of [
    ['backup', join(dir, 'x')],
    ['restore', join(dir, 'x')],
  ]) {
    t.match(await aaas([...line, '--json'], environment), {
      exitCode: 2,
      failure: { error: { field: 'DATABASE_URL' } },
    })
  }
  for (const until of ['yesterday', '2026-11-20', '2026-11-20T12:00:00']) {
    t.match(await aaas(['restore', join(dir, 'monday'), '--until', until, '--json']), { exitCode: 2 }, until)
  }
  await server[Symbol.asyncDispose]()
  for (const line of [
    ['backup', join(dir, 'x')],
    ['clone', 'shop', 'other'],
    ['ledger', 'verify', 'shop'],
  ]) {
    t.match(await aaas([...line, '--json']), {
      exitCode: 1,
      failure: { error: { code: 'support.rdbms.unavailable', retryable: true } },
    })
  }
})
