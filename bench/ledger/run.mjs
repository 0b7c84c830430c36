// Transfers from Node beside the floors by pgbench, on the system's PostgreSQL and on the embedded one; fsync is on.
// F: one function call a transfer, 16 clients. B: 1,000 transfers a call, two clients. See floor.sql for what they lack.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock, systemIds } from '../../packages/core-cloud/dist/src/kernel/index.js'
import { migrate, pgDatabase } from '../../packages/support-cloud/dist/src/rdbms/index.js'
import {
  createLedgerBatcher,
  openLedger,
  pgTransactions,
  transactionMigrations,
} from '../../packages/support-cloud/dist/src/transaction/index.js'
import { closedLoop, figures, median, round } from '../load.mjs'
import { onOneServer } from '../one-server.mjs'

const wallets = 20_000

/** `--engine system|embedded` for one of them, `--rounds N` (3), `--seconds S` (1) of each load: some 20 s a round. */
export async function bench({ say, args }) {
  const value = (name, fallback) => (args.includes(name) ? args[args.indexOf(name) + 1] : fallback)
  const rounds = Number(value('--rounds', 3))
  const seconds = Number(value('--seconds', 1))
  const all = byRound(figures())
  const ratios = []
  for (const engine of args.includes('--engine') ? [value('--engine')] : ['system', 'embedded']) {
    await onOneServer({ minutes: 3 + rounds, say, engine }, async server => {
      const world = await setUp(server, engine)
      for (let turn = 0; turn < rounds; turn++) {
        all.nextRound()
        await measureAll({ ...world, all, seconds })
        const [mine, floor] = ['single 16', 'F'].map(name => Math.round(all.median(`${engine} ${name}`)))
        say(`${engine} round ${turn + 1}: ${mine}/s single from Node, floor ${floor}/s`)
      }
      const verdict = await world.ledger.verify()
      if (!verdict.ok) throw new Error(`the ledger is wrong: ${JSON.stringify(verdict.wrong)}`)
      say(`${engine}: ${verdict.transfers} transfers proved`)
    })
    ratios.push(...ratiosOf(all, engine))
  }
  return { rows: all.rows(), ratios }
}

/** Figures, and the median of each round's own ratio: what else the machine does in a round slows both sides of it. */
function byRound(all) {
  const rounds = []
  return {
    ...all,
    nextRound: () => rounds.push(new Map()),
    add(name, unit, value) {
      rounds.at(-1).set(name, value)
      all.add(name, unit, value)
    },
    ratio: ({ of, by, ...rest }) => {
      const ratios = rounds.filter(one => one.has(of)).map(one => one.get(of) / one.get(by))
      return { ...rest, value: round(median(ratios)) }
    },
  }
}

function ratiosOf(all, engine) {
  const ratio = (name, of, by, must, better = 'higher') =>
    all.ratio({
      ...{ name: `${engine} ${name}`, of: `${engine} ${of}`, by: `${engine} ${by}`, better },
      ...(must === undefined ? {} : { must }),
    })
  return [
    ratio('16 callers, a transfer each, through the batcher / F', 'batcher 16', 'F', 0.75),
    ratio('16 callers, a transfer each, direct / F', 'single 16', 'F', 0.75),
    ratio('1,000 callers / B', 'batcher 1000', 'B', 0.8),
    ratio('1,000 callers / F', 'batcher 1000', 'F', 3.5),
    ratio('hot account, 1,000 callers / naive row lock', 'hot batcher 1000', 'hot naive 1000', 15),
    ratio('pend and post / single-phase', 'pend+post 1000', 'batcher 1000', 0.45),
    ratio('one caller, batcher / direct', 'batcher 1', 'single 1', 0.9),
    ratio('tx.run with an event / without', 'tx.run + event 16', 'tx.run 16', 0.75),
    ratio('p99 of 1,000 callers / p50', 'batcher 1000 p99', 'batcher 1000 p50'),
    ratio('16 callers, batcher / direct', 'batcher 16', 'single 16'),
  ]
}

async function setUp(server, engine) {
  const url = (await server.database('ledger_bench')).href
  const database = pgDatabase({ url, maxConnections: 20 })
  await server.atEnd(() => database[Symbol.asyncDispose]())
  const crowd = pgDatabase({ url, maxConnections: 60 })
  await server.atEnd(() => crowd[Symbol.asyncDispose]())
  await migrate(database, [transactionMigrations])
  const ledger = openLedger({ database })
  await database.script(readFileSync(new URL('floor.sql', import.meta.url), 'utf8'))
  await database.script(`insert into floor_account (id, balance) select g, 1000000 from generate_series(1, ${wallets}) g;
    insert into floor_account values (0, 0, -1000000000000)`)
  await fill(ledger)
  for (const table of ['floor_account', 'ledger_account', 'ledger_balance', 'ledger_transfer', 'ledger_entry']) {
    await database.script(`vacuum analyze ${table}`)
  }
  const ids = systemIds()
  const batcher = createLedgerBatcher({ database, clock: systemClock({ keepAlive: true }), lanes: 2, maxBatch: 1000 })
  const clock = systemClock({ keepAlive: true })
  const transactions = pgTransactions({ url, clock, ids, ledger, maxConnections: 16 })
  await server.atEnd(() => transactions[Symbol.asyncDispose]())
  return { engine, url: new URL(url), dir: server.dir, database, crowd, ledger, batcher, transactions, ids }
}

/** The wallets have a limit, as those of the floor have. */
async function fill(ledger) {
  const ids = systemIds()
  await ledger.createAccounts([
    { id: 'bank', currency: 'CNY' },
    { id: 'hot', currency: 'CNY' },
  ])
  for (let from = 1; from <= wallets; from += 1000) {
    const names = Array.from({ length: 1000 }, (_, n) => `wallet:${from + n}`)
    await ledger.createAccounts(names.map(id => ({ id, currency: 'CNY', limit: 'debits-within-credits' })))
    await ledger.submit(names.map(credit => ({ ...movement(ids, 'bank', credit), amount: 1_000_000 })))
  }
}

const below = count => Math.floor(Math.random() * count)
const movement = (ids, debit, credit) => ({
  ...{ kind: 'posted', id: ids.uuid(), debit, credit, amount: 1, currency: 'CNY', code: 'sale', ref: 'order-1' },
})

async function measureAll({ engine, url, dir, all, seconds, database, crowd, ledger, batcher, transactions, ids }) {
  const half = wallets / 2
  const uniform = () => movement(ids, `wallet:${1 + below(half)}`, `wallet:${1 + half + below(half)}`)
  const toHot = () => movement(ids, `wallet:${1 + below(wallets)}`, 'hot')
  const applied = async answers => {
    for (const { status, reason } of await answers) if (status !== 'applied') throw new Error(`${status} ${reason}`)
  }
  const floorToHot = () =>
    crowd.query({
      name: 'floor_one',
      text: 'select floor_one($1, $2, 0, 1)',
      values: [ids.uuid(), 1 + below(wallets)],
    })
  const pendAndPost = async () => {
    const pending = { ...uniform(), kind: 'pending' }
    await applied(batcher.submit([pending]))
    await applied(batcher.submit([{ kind: 'post', id: ids.uuid(), pending: pending.id }]))
  }
  const booked = event =>
    transactions.run(ids.uuid(), async tx => {
      const work = [tx.ledger.apply([uniform()])]
      if (event) work.push(tx.emit({ eventId: ids.uuid(), topic: 'paid', key: '', payload: { amount: 1 } }))
      await Promise.all(work)
    })
  const load = (name, callers, send, options = {}) =>
    run({ all, name: `${engine} ${name}`, callers, send, seconds, ...options })
  const pgbench = (name, script, clients, each) =>
    all.add(`${engine} ${name}`, '1/s', runPgbench({ url, dir, script, clients, seconds }) * each)
  pgbench('F', 'select floor_one(gen_random_uuid(), :d, :c, 1)', 16, 1)
  await load('single 16', 16, () => applied(ledger.submit([uniform()])))
  await load('single 1', 1, () => applied(ledger.submit([uniform()])))
  await load('batcher 1', 1, () => applied(batcher.submit([uniform()])))
  await load('batcher 16', 16, () => applied(batcher.submit([uniform()])))
  await load('tx.run 16', 16, () => booked(false))
  await load('tx.run + event 16', 16, () => booked(true))
  pgbench('B', batchScript(half), 2, 1000)
  await load('batcher 1000', 1000, () => applied(batcher.submit([uniform()])))
  await load('pend+post 1000', 1000, pendAndPost)
  await load('hot naive 1000', 1000, floorToHot)
  await load('hot batcher 1000', 1000, () => applied(batcher.submit([toHot()])))
  // What this round leaves behind is not the next one's: nothing of it is measured.
  await database.script('truncate aaas_outbox, idempotency')
  await database.script('checkpoint')
}

async function run({ all, name, callers, send, seconds }) {
  const before = process.cpuUsage()
  const from = performance.now()
  const { perSecond, p50, p99 } = await closedLoop({ callers, seconds, send })
  const { user, system } = process.cpuUsage(before)
  all.add(name, '1/s', perSecond)
  all.add(`${name} p50`, 'ms', p50)
  all.add(`${name} p99`, 'ms', p99)
  all.add(`${name} node cpu`, 'cores', (user + system) / 1000 / (performance.now() - from))
}

/** Ids are random here and in order from Node: that is part of what ours does better. */
const batchScript = half => `select floor_batch(
  (select array_agg(gen_random_uuid()) from generate_series(1, 1000)),
  (select array_agg(1 + (random() * ${half - 1})::int) from generate_series(1, 1000)),
  (select array_agg(${half + 1} + (random() * ${half - 1})::int) from generate_series(1, 1000)),
  (select array_agg(1::bigint) from generate_series(1, 1000)))`

function runPgbench({ url, dir, script, clients, seconds }) {
  const bin = [
    '/usr/bin/pgbench',
    ...(existsSync('/usr/lib/postgresql')
      ? readdirSync('/usr/lib/postgresql').map(version => `/usr/lib/postgresql/${version}/bin/pgbench`)
      : []),
  ].find(existsSync)
  if (bin === undefined) throw new Error('pgbench is not installed')
  const file = join(dir, 'pgbench.sql')
  writeFileSync(
    file,
    `\\set d random(1, ${wallets / 2})\n\\set c random(${wallets / 2 + 1}, ${wallets})\n${script};\n`.replaceAll(
      '\n ',
      ' ',
    ),
  )
  const flags = ['-n', '-M', 'prepared', `-c${clients}`, '-j2', `-T${seconds}`, '-f', file, url.pathname.slice(1)]
  const out = execFileSync(bin, flags, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    env: {
      ...process.env,
      PGHOST: url.searchParams.get('host') ?? url.hostname,
      PGUSER: url.username,
      PGPASSWORD: decodeURIComponent(url.password),
    },
  })
  return Number(/tps = ([\d.]+)/.exec(out)?.[1])
}
