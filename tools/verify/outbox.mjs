// A long backlog goes through four relays, a bus and a consumer, all of which are killed in turn: every event arrives,
// has its effect once, in the order of its key, and the table of the outbox does not grow beyond the backlog.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { silentLogger, systemClock, systemIds } from '../../packages/core-cloud/dist/src/kernel/index.js'
import {
  bellChannel,
  createOutboxBell,
  deadEvents,
  emitEvent,
  forgetDead,
  outboxStatus,
} from '../../packages/support-cloud/dist/src/event/index.js'
import { migrate, pgDatabase, startPostgres } from '../../packages/support-cloud/dist/src/rdbms/index.js'
import { transactionMigrations } from '../../packages/support-cloud/dist/src/transaction/index.js'
import { streamState } from './_outbox-bus.mjs'

const backlog = Number(process.env.AAAS_VERIFY_EVENTS ?? 1_000_000)
const keys = Math.min(20_000, backlog / 10)
/** Written while the relays work. */
const fresh = 20_000
const poison = 10
const relayCount = 4
const killEveryMs = 8_000
/** A guard against hanging; a machine that does nothing else needs a third of it. */
const mostSeconds = 900

export const verify = async ({ say }) => {
  const home = mkdtempSync(join(tmpdir(), 'aaas-ob-'))
  const clock = systemClock({ keepAlive: true })
  const ids = systemIds()
  const postgres = await startPostgres({
    dataDir: join(home, 'data'),
    socketDir: join(home, 'run'),
    clock,
    ids,
    logger: silentLogger,
  })
  const database = pgDatabase({ url: postgres.url, statementTimeoutMs: 300_000 })
  const children = new Map()
  const ending = { now: false }
  try {
    await migrate(database, [transactionMigrations])
    await database.script(
      'create table applied (seq bigint generated always as identity, event_id uuid not null, key text not null, n int not null)',
    )
    await database.script('create table place (sequence bigint not null); insert into place values (0)')
    const started = performance.now()
    await fill(database)
    await database.script('vacuum analyze aaas_outbox')
    const full = await outboxStatus(database)
    say(`${backlog} events wait, ${megabytes(full.bytes)} MB, written in ${seconds(started)} s`)

    const bus = await busServer(home, children)
    await bus.start()
    const start = (name, file, args) => keep({ name, file, args: [postgres.url, bus.url, ...args], children, ending })
    const relays = Array.from({ length: relayCount }, (_, n) =>
      start(`relay-${n}`, '_outbox-relay.mjs', [`relay-${n}`, bellChannel]),
    )
    const consumer = start('consumer', '_outbox-consumer.mjs', [])
    const working = performance.now()
    const writer = writeMore({ database, clock, ids, ending })

    const total = backlog + fresh
    const kills = { relay: 0, bus: 0, consumer: 0 }
    const most = { bytes: full.bytes, deadRows: 0 }
    let nextKill = performance.now() + killEveryMs
    let turn = 0
    let applied = 0
    for (;;) {
      await wait(500)
      const [row] = await database.query({ text: 'select coalesce(max(seq), 0) as n from applied' })
      applied = row.n
      const status = await outboxStatus(database)
      most.bytes = Math.max(most.bytes, status.bytes)
      most.deadRows = Math.max(most.deadRows, status.deadRows)
      const idle = status.waiting === 0 && (await writer.done())
      if (idle && applied >= total) break
      if (performance.now() - started > mostSeconds * 1000)
        throw new Error(`only ${applied} of ${total} in ${mostSeconds} s`)
      if (performance.now() < nextKill || idle) continue
      nextKill = performance.now() + killEveryMs
      const victim = turn % (relayCount + 2)
      turn += 1
      if (victim < relayCount) {
        kills.relay += 1
        relays[victim].kill()
      } else if (victim === relayCount) {
        kills.bus += 1
        await bus.restart()
      } else {
        kills.consumer += 1
        consumer.kill()
      }
      say(
        `${applied} applied after ${seconds(working)} s; killed ${victim < relayCount ? `relay ${victim}` : victim === relayCount ? 'the bus' : 'the consumer'}`,
      )
    }
    const workedMs = performance.now() - working
    // Repeats that are still under way must not have an effect either.
    await wait(2_000)
    ending.now = true
    const stored = await streamState(bus.url)
    const [check] = await database.query({
      text: `select count(*) as effects, count(distinct event_id) as events, count(distinct (key, n)) as facts,
        (select count(*) from (select n - lag(n) over (partition by key order by seq) as step from applied) s where step <> $1) as disorder
        from applied`,
      values: [keys],
    })
    const dead = await deadEvents(database, { limit: 100 })
    const parked = dead.filter(event => event.attempts === 1 && /never/.test(event.reason)).length
    await forgetDead(database, { eventIds: dead.map(event => event.eventId) })
    await database.script('vacuum aaas_outbox')
    const end = await outboxStatus(database)
    const figures = {
      events: total,
      seconds: Math.round(workedMs / 1000),
      perSecond: Math.round(total / (workedMs / 1000)),
      kills,
      storedInBus: stored.messages,
      repeatsInBus: stored.messages - total,
      effects: check.effects,
      disorder: check.disorder,
      parked,
      backlogMb: megabytes(full.bytes),
      largestMb: megabytes(most.bytes),
      mostDeadRows: most.deadRows,
      endMb: megabytes(end.bytes),
      endDeadRows: end.deadRows,
    }
    const ok =
      check.effects === total &&
      check.events === total &&
      check.facts === total &&
      check.disorder === 0 &&
      parked === poison &&
      dead.length === poison &&
      stored.messages >= total &&
      most.bytes <= full.bytes * 1.25 &&
      end.bytes <= full.bytes &&
      end.deadRows === 0 &&
      Object.values(kills).every(count => count > 0)
    return { ok, ...figures }
  } finally {
    ending.now = true
    for (const child of children.values()) child.kill('SIGKILL')
    await database[Symbol.asyncDispose]()
    await postgres[Symbol.asyncDispose]()
    rmSync(home, { recursive: true, force: true })
  }
}

/** The id is a UUID of version 7; the number of an event rises by `keys` along its key. */
const fill = database =>
  database.query({
    text: `insert into aaas_outbox (event_id, topic, key, payload)
      select (lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3)
        || '8' || substr(md5(n::text), 1, 15))::uuid,
        case when n > $1 then 'poison' else 'order.paid' end, 'k' || n % $2, jsonb_build_object('n', n)
      from generate_series(1, $1::int + $3::int) n`,
    values: [backlog, keys, poison],
  })

function writeMore({ database, clock, ids, ending }) {
  let finished = false
  const bell = createOutboxBell({ database, clock, logger: silentLogger })
  const work = (async () => {
    for (let n = backlog + 1; n <= backlog + fresh && !ending.now; n += 100) {
      await database.transaction(async tx => {
        for (let one = n; one < n + 100; one++) {
          await emitEvent(tx, { eventId: ids.uuid(), topic: 'order.paid', key: `k${one % keys}`, payload: { n: one } })
        }
      })
      bell.ring()
      await wait(50)
    }
    await bell[Symbol.asyncDispose]()
    finished = true
  })()
  work.catch(error => console.error(error))
  return { done: async () => finished }
}

/** A process that is started again whenever it ends. */
function keep({ name, file, args, children, ending }) {
  const script = fileURLToPath(new URL(file, import.meta.url))
  const begin = () => {
    const child = spawn(process.execPath, [script, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
    children.set(name, child)
    child.on('exit', () => {
      if (!ending.now) begin()
    })
  }
  begin()
  return { kill: () => children.get(name)?.kill('SIGKILL') }
}

async function busServer(home, children) {
  const program = ['/usr/sbin/nats-server', '/usr/bin/nats-server', '/usr/local/bin/nats-server'].find(existsSync)
  if (program === undefined) throw new Error('this needs nats-server')
  const port = await freePort()
  const store = join(home, 'bus')
  mkdirSync(store)
  const config = join(home, 'bus.conf')
  writeFileSync(config, `listen: "127.0.0.1:${port}"\njetstream { store_dir: "${store}", max_file: 4GB }\n`)
  const start = async () => {
    const child = spawn(program, ['-c', config], { stdio: ['ignore', 'ignore', 'pipe'] })
    children.set('bus', child)
    for await (const line of createInterface(child.stderr)) if (line.includes('Server is ready')) break
    child.stderr.resume()
  }
  return {
    url: `127.0.0.1:${port}`,
    start,
    async restart() {
      const child = children.get('bus')
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
      await start()
    },
  }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

const megabytes = bytes => Math.round(bytes / 1e6)
const seconds = since => ((performance.now() - since) / 1000).toFixed(1)
