// What a query builder costs on our hot paths: prepared statements by `pgDatabase`, the same text unprepared, and kysely
// over the driver's pool, built on each call or compiled once. Same server, same number of connections, interleaved.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { silentLogger, systemClock, systemIds } from '../../packages/core-cloud/dist/src/kernel/index.js'
import { createOutboxRelay, emitEvent } from '../../packages/support-cloud/dist/src/event/index.js'
import { migrate, pgDatabase } from '../../packages/support-cloud/dist/src/rdbms/index.js'
import { transactionMigrations } from '../../packages/support-cloud/dist/src/transaction/index.js'
import { closedLoop, figures } from '../load.mjs'
import { onOneServer } from '../one-server.mjs'

const rounds = 3
const seconds = 1
const connections = 16
const products = 10_000

export const bench = ({ say }) =>
  onOneServer({ minutes: 8, say }, async server => {
    const kysely = await builder(say)
    const { default: pg } = await import(createRequire(new URL('../../package.json', import.meta.url)).resolve('pg'))
    const url = await server.database('rdbms')
    const database = pgDatabase({ url: String(url.href ?? url), maxConnections: connections })
    await server.atEnd(() => database[Symbol.asyncDispose]())
    await migrate(database, [transactionMigrations])
    await database.script(`create table product (id int primary key, name text not null, price bigint not null, stock int not null);
      insert into product select n, 'product ' || n, n * 10, 1000000000 from generate_series(1, ${products}) n; analyze product`)
    const pool = new pg.Pool({ connectionString: String(url.href ?? url), max: connections })
    pool.on('error', () => undefined)
    await server.atEnd(() => pool.end())
    const systems = [prepared(database), unprepared(pool), built(kysely, pool), compiled(kysely, pool)]
    const all = figures()
    for (let round = 1; round <= rounds; round++) {
      for (const name of Object.keys(systems[0].work)) {
        for (const callers of [1, connections]) {
          // Each is first once in a while: the first one warms the server up for the others.
          for (const system of [
            ...systems.slice(round % systems.length),
            ...systems.slice(0, round % systems.length),
          ]) {
            const { perSecond, p99 } = await closedLoop({ callers, seconds, send: system.work[name] })
            all.add(`${name} ${system.label} c=${callers}`, '1/s', perSecond)
            all.add(`${name} ${system.label} c=${callers} p99`, 'ms', p99)
          }
        }
        await database.script('truncate aaas_outbox')
        say(
          `round ${round} ${name}: ${systems.map(({ label }) => `${label} ${Math.round(all.median(`${name} ${label} c=16`))}/s`).join(', ')}`,
        )
      }
      await drain({ database, all })
    }
    const ratio = (name, label) =>
      all.ratio({
        name: `${name}: ${label} / prepared at 16 callers`,
        of: `${name} ${label} c=16`,
        by: `${name} prepared c=16`,
      })
    const ratios = Object.keys(systems[0].work).flatMap(name =>
      ['unprepared', 'kysely', 'kysely-compiled'].map(label => ratio(name, label)),
    )
    ratios.push(
      all.ratio({
        name: 'outbox relay by batches of 100 / one at a time',
        of: 'relay batch=100',
        by: 'relay batch=1',
        must: 5,
      }),
    )
    return { rows: all.rows(), ratios }
  })

async function builder(say) {
  const home = fileURLToPath(new URL('.', import.meta.url))
  if (!existsSync(`${home}node_modules/kysely`)) {
    say('installing kysely for this benchmark')
    execFileSync(
      'npm',
      ['install', '--prefix', home, '--no-audit', '--no-fund', '--no-package-lock', '--ignore-scripts'],
      { stdio: 'inherit' },
    )
  }
  return import(createRequire(`${home}package.json`).resolve('kysely').replace('/dist/cjs/', '/dist/esm/'))
}

const pick = round => 1 + ((round * 7919) % products)
const readText = 'select id, name, price, stock from product where id = $1'
const listText = 'select id, name, price from product where id > $1 order by id limit 20'
const sellText = 'update product set stock = stock - $2 where id = $1 and stock >= $2 returning stock'
const emitText = 'insert into aaas_outbox (event_id, topic, key, payload) values ($1, $2, $3, $4)'
const ids = systemIds()
const event = id => ({ eventId: ids.uuid(), topic: 'sold', key: `product:${id}`, payload: { id, n: 1 } })

function prepared(database) {
  return {
    label: 'prepared',
    work: {
      read: (_, round) => database.query({ name: 'read', text: readText, values: [pick(round)] }),
      list: (_, round) => database.query({ name: 'list', text: listText, values: [pick(round)] }),
      sell: (worker, round) =>
        database.transaction(async tx => {
          const id = pick(round * connections + worker)
          await tx.query({ name: 'sell', text: sellText, values: [id, 1] })
          await emitEvent(tx, event(id))
        }),
    },
  }
}

function unprepared(pool) {
  return {
    label: 'unprepared',
    work: {
      read: (_, round) => pool.query(readText, [pick(round)]),
      list: (_, round) => pool.query(listText, [pick(round)]),
      async sell(worker, round) {
        const id = pick(round * connections + worker)
        const { eventId, topic, key, payload } = event(id)
        const client = await pool.connect()
        try {
          await client.query('begin')
          await client.query(sellText, [id, 1])
          await client.query(emitText, [eventId, topic, key, JSON.stringify(payload)])
          await client.query('commit')
        } finally {
          client.release()
        }
      },
    },
  }
}

function built({ Kysely, PostgresDialect, sql }, pool) {
  const db = new Kysely({ dialect: new PostgresDialect({ pool }) })
  return {
    label: 'kysely',
    work: {
      read: (_, round) =>
        db.selectFrom('product').select(['id', 'name', 'price', 'stock']).where('id', '=', pick(round)).execute(),
      list: (_, round) =>
        db
          .selectFrom('product')
          .select(['id', 'name', 'price'])
          .where('id', '>', pick(round))
          .orderBy('id')
          .limit(20)
          .execute(),
      sell: (worker, round) =>
        db.transaction().execute(async tx => {
          const id = pick(round * connections + worker)
          const { eventId, topic, key, payload } = event(id)
          await tx
            .updateTable('product')
            .set({ stock: sql`stock - 1` })
            .where('id', '=', id)
            .where('stock', '>=', 1)
            .returning('stock')
            .execute()
          await tx
            .insertInto('aaas_outbox')
            .values({ event_id: eventId, topic, key, payload: JSON.stringify(payload) })
            .execute()
        }),
    },
  }
}

/** The text is made once; only the values change. */
function compiled({ CompiledQuery, Kysely, PostgresDialect }, pool) {
  const db = new Kysely({ dialect: new PostgresDialect({ pool }) })
  const run = (on, text, values) => on.executeQuery(CompiledQuery.raw(text, values))
  return {
    label: 'kysely-compiled',
    work: {
      read: (_, round) => run(db, readText, [pick(round)]),
      list: (_, round) => run(db, listText, [pick(round)]),
      sell: (worker, round) =>
        db.transaction().execute(async tx => {
          const id = pick(round * connections + worker)
          const { eventId, topic, key, payload } = event(id)
          await run(tx, sellText, [id, 1])
          await run(tx, emitText, [eventId, topic, key, JSON.stringify(payload)])
        }),
    },
  }
}

/** How quickly a relay empties the outbox, by its batch. */
async function drain({ database, all }) {
  for (const [batch, count] of [
    [1, 500],
    [100, 10_000],
  ]) {
    await database.query({
      text: `insert into aaas_outbox (event_id, topic, key, payload) select gen_random_uuid(), 'sold', 'k' || n, '{}' from generate_series(1, $1::int) n`,
      values: [count],
    })
    let seen = 0
    const subscriber = { name: 'count', handle: async () => void (seen += 1) }
    const started = performance.now()
    const relay = createOutboxRelay({
      ...{ database, clock: systemClock({ keepAlive: true }), ids, logger: silentLogger },
      ...{ batch, restMs: 0, concurrency: 16, subscribers: () => [subscriber] },
    })
    while (seen < count) await relay.idle()
    all.add(`relay batch=${batch}`, '1/s', (count / (performance.now() - started)) * 1000)
    await relay[Symbol.asyncDispose]()
  }
}
