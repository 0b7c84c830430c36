// Keyed transactions, ledger and sagas under load while processes are killed (-9) and frozen, database sessions are ended
// and the database itself is stopped without a shutdown: nothing acknowledged may be lost, nothing applied twice.
import { fork } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CloudError, silentLogger, systemClock, systemIds } from '../../packages/core-cloud/dist/src/kernel/index.js'
import {
  migrate,
  pgDatabase,
  startPostgres,
  startReplicatedPostgres,
} from '../../packages/support-cloud/dist/src/rdbms/index.js'
import { openLedger, transactionMigrations } from '../../packages/support-cloud/dist/src/transaction/index.js'

const workerFile = fileURLToPath(new URL('_tx-worker.mjs', import.meta.url))
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))
const options = { clock: systemClock({ keepAlive: true }), ids: systemIds(), logger: silentLogger }
const sum = numbers => numbers.reduce((a, b) => a + b, 0)

export async function verify({ say, faults = Number(process.env.AAAS_FAULTS ?? 220) }) {
  // Promotions need a pair of servers and seconds each until the pair is whole again: a smaller part of its own.
  const promoted = Math.ceil(faults / 8)
  const parts = [
    await part({ say, faults: faults - promoted, open: ownServer }),
    await part({ say, faults: promoted, open: ownPair }),
  ]
  const total = key => sum(parts.map(one => one[key] ?? 0))
  const keys = [
    'faults',
    'killed',
    'terminated',
    'frozen',
    'immediateStops',
    'promotions',
    'begun',
    'acknowledged',
    'paid',
  ]
  const counted = [
    ...keys,
    'insufficient',
    'transfers',
    'completed',
    'compensated',
    'parked',
    'retriedAtEnd',
    'resolvedAtEnd',
  ]
  const problems = parts.flatMap(one => one.problems)
  return {
    ok: problems.length === 0,
    ...Object.fromEntries(counted.map(key => [key, total(key)])),
    balanced: parts.every(one => one.balanced),
    problems: problems.slice(0, 5),
  }
}

async function part({ say, faults, open }) {
  const home = mkdtempSync(join(tmpdir(), 'aaas-tx-'))
  chmodSync(home, 0o755)
  const server = await open(home)
  const database = pgDatabase({ url: server.url(), maxConnections: 2 })
  try {
    await prepare(database)
    const crowd = makeCrowd(server.url(), say)
    const done = await cause({ faults, crowd, server, database, say })
    const stats = await crowd.drain()
    await quiet(database)
    const { problems, figures } = await judge(database, crowd)
    const all = [...problems, ...crowd.odd]
    return { faults: sum(Object.values(done)), ...done, ...crowd.figures(), ...figures, ...stats, problems: all }
  } finally {
    await database[Symbol.asyncDispose]().catch(() => undefined)
    await server.stop()
    rmSync(home, { recursive: true, force: true })
  }
}

/** A private server that can be stopped in the middle of everything and started again. */
async function ownServer(home) {
  const dataDir = join(home, 'data')
  const start = () => startPostgres({ dataDir, socketDir: join(home, 'run'), ...options })
  let running = await start()
  return {
    crashes: 'immediateStops',
    crashShare: 0.12,
    url: () => running.url,
    /** What `pg_ctl stop -m immediate` does: no checkpoint, no farewell; the next start recovers from the log. */
    async crash() {
      const pid = Number(readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n')[0])
      process.kill(pid, 'SIGQUIT')
      await running.ended
      await running[Symbol.asyncDispose]().catch(() => undefined)
      running = await start()
    },
    stop: () => running[Symbol.asyncDispose](),
  }
}

/** A primary and its synchronous standby, which takes its place. */
async function ownPair(home) {
  const dataDir = join(home, 'data')
  const pair = await startReplicatedPostgres({ dataDir, socketDir: join(home, 'run'), ...options })
  await pair.inSync()
  return {
    crashes: 'promotions',
    crashShare: 0.4,
    url: () => pair.url,
    /** By plan, or because the primary was shot. */
    async crash() {
      await pair.inSync()
      const { primary, failOvers } = pair.status()
      if (Math.random() < 0.5) await pair.failOver()
      else
        process.kill(Number(readFileSync(join(dataDir, primary, 'postmaster.pid'), 'utf8').split('\n')[0]), 'SIGQUIT')
      while (pair.status().failOvers === failOvers) await sleep(50)
    },
    stop: () => pair[Symbol.asyncDispose](),
  }
}

async function prepare(database) {
  await migrate(database, [transactionMigrations])
  // No unique constraints on purpose: what is applied twice must show.
  await database.script(`create table effect (key text); create table pipelined (key text, transfer text);
    create table remote (gid text, branch text, op text)`)
  const ledger = openLedger({ database })
  const accounts = Array.from({ length: 12 }, (_, index) => ({ id: `a${index}`, currency: 'CNY' }))
  // Half of them cannot go below zero.
  await ledger.createAccounts(
    accounts.map((account, index) => (index % 2 === 0 ? account : { ...account, limit: 'debits-within-credits' })),
  )
}

/** The worker processes, what they began and what was acknowledged. */
function makeCrowd(url, say) {
  const members = new Map()
  const begun = new Map()
  const acknowledged = new Map()
  const odd = []
  const stats = []
  let names = 0
  const spawn = (inherited = []) => {
    const name = `w${names++}`
    const child = fork(workerFile, [url, name], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    const member = { name, child, open: new Map(), drained: false }
    members.set(name, member)
    for (const operation of inherited) member.open.set(operation.key, operation)
    if (inherited.length > 0) child.send({ kind: 'again', operations: inherited })
    child.on('error', () => undefined)
    child.once('exit', (code, signal) => {
      if (members.get(name) !== member || member.expected) return
      odd.push(`${name} ended by itself: ${code ?? signal}`)
      members.delete(name)
      spawn([...member.open.values()])
    })
    child.on('message', message => {
      if (message.kind === 'begun') {
        begun.set(message.operation.key, message.operation)
        member.open.set(message.operation.key, message.operation)
      } else if (message.kind === 'acknowledged') {
        member.open.delete(message.key)
        const before = acknowledged.get(message.key)
        if (before === undefined) acknowledged.set(message.key, message.outcome)
        else if ((before === 'insufficient') !== (message.outcome === 'insufficient') && before !== 'insufficient') {
          odd.push(`${message.key} was ${before} and then ${message.outcome}`)
        }
        if (message.outcome !== 'insufficient') acknowledged.set(message.key, message.outcome)
      } else if (message.kind === 'odd') {
        odd.push(message.text)
        say(message.text)
      } else if (message.kind === 'drained') {
        member.drained = true
        stats.push(message.stats)
      }
    })
  }
  for (let index = 0; index < 3; index++) spawn()
  const any = () => [...members.values()][Math.floor(Math.random() * members.size)]
  return {
    odd,
    begun,
    acknowledged,
    any,
    async kill(member) {
      member.expected = true
      const gone = new Promise(resolve => member.child.once('exit', resolve))
      member.child.kill('SIGKILL')
      await gone
      members.delete(member.name)
      spawn([...member.open.values()])
    },
    async drain() {
      for (const { child } of members.values()) child.send({ kind: 'drain' })
      for (let turn = 0; [...members.values()].some(member => !member.drained); turn++) {
        if (turn > 600)
          throw new Error(`workers did not end: ${[...members.values()].map(one => [...one.open.keys()])}`)
        await sleep(100)
      }
      // They stay until the sagas have ended.
      const total = key => sum(stats.map(one => one[key]))
      return { retriedAtEnd: total('retried'), resolvedAtEnd: total('resolved') }
    },
    figures: () => ({ begun: begun.size, acknowledged: acknowledged.size }),
    async stop() {
      for (const member of members.values()) {
        member.expected = true
        member.child.kill('SIGKILL')
      }
    },
    members,
  }
}

async function cause({ faults, crowd, server, database, say }) {
  const done = { killed: 0, terminated: 0, frozen: 0, [server.crashes]: 0 }
  const started = performance.now()
  for (let index = 0; index < faults; index++) {
    await sleep(300 + Math.random() * 700)
    const luck = Math.random()
    if (luck < 0.35) {
      await crowd.kill(crowd.any())
      done.killed += 1
    } else if (luck < 0.42) {
      // Longer than the lease of a saga: others take over, and the fence must hold when it goes on.
      const { child } = crowd.any()
      child.kill('SIGSTOP')
      setTimeout(() => child.kill('SIGCONT'), 4_000)
      done.frozen += 1
    } else if (luck < 0.42 + server.crashShare) {
      await server.crash()
      done[server.crashes] += 1
    } else {
      const text = `select count(pg_terminate_backend(pid)) as n from (select pid from pg_stat_activity
        where backend_type = 'client backend' and pid <> pg_backend_pid() order by random() limit $1) victims`
      await database.query({ text, values: [1 + Math.floor(Math.random() * 5)] }).catch(error => {
        if (!CloudError.is(error, 'support.rdbms.unavailable')) throw error
      })
      done.terminated += 1
    }
    if ((index + 1) % 20 === 0) {
      const seconds = Math.round((performance.now() - started) / 1000)
      say(`${index + 1} faults in ${seconds} s, ${crowd.acknowledged.size} of ${crowd.begun.size} acknowledged`)
    }
  }
  await sleep(4_500)
  return done
}

/** Waits until no saga is under way. */
async function quiet(database) {
  for (let turn = 0; turn < 900; turn++) {
    const text = `select count(*) as n from aaas_saga where state in ('running', 'compensating')`
    const [{ n }] = await database.query({ text })
    if (n === 0) return
    await sleep(100)
  }
  throw new Error('sagas did not end')
}

async function judge(database, crowd) {
  await crowd.stop()
  const problems = []
  await database.script(`create table ends as select gid, count(*) filter (where op = 'try') as tries,
    count(*) filter (where op = 'cancel') as cancels from remote group by gid; create index on ends (gid);
    create index on pipelined (key); analyze`)
  const rows = (text, values = []) => database.query({ text, values })
  const complain = async (what, text, values) => {
    const found = await rows(`${text} limit 5`, values)
    if (found.length > 0) problems.push(`${what}: ${JSON.stringify(found)}`)
  }
  const paid = [...crowd.acknowledged].filter(
    ([key, outcome]) => outcome !== 'insufficient' && crowd.begun.get(key)?.kind !== 'saga',
  )
  const refused = [...crowd.acknowledged].filter(([, outcome]) => outcome === 'insufficient')
  const kinds = kind => paid.filter(([key]) => crowd.begun.get(key)?.kind === kind).map(([key]) => key)
  await complain('acknowledged and lost', 'select unnest($1::text[]) as key except select key from effect', [
    paid.map(([key]) => key),
  ])
  await complain('refused and applied', 'select key from effect where key = any ($1)', [refused.map(([key]) => key)])
  await complain('applied twice', 'select key, count(*) from effect group by key having count(*) > 1')
  await complain('effect without key', `select key from effect except select key from idempotency where scope = 'pay'`)
  await complain('key without effect', `select key from idempotency where scope = 'pay' except select key from effect`)
  await complain(
    'event lost or doubled',
    `select key, count(*) from (select key from aaas_outbox union all select key from effect) both_sides group by key having count(*) <> 2`,
  )
  await complain('transfer lost', 'select unnest($1::uuid[]) as id except select id from ledger_transfer', [
    kinds('run').map(key => crowd.begun.get(key).id),
  ])
  await complain(
    'pipeline torn',
    'select g.key from unnest($1::text[]) g(key) left join pipelined p on p.key = g.key group by g.key having count(p.key) <> 1',
    [kinds('pipeline')],
  )
  const report = await openLedger({ database }).check()
  if (!report.balanced) problems.push(`the ledger: ${JSON.stringify(report)}`)
  const started = [...crowd.acknowledged].filter(([, outcome]) => outcome === 'started').map(([key]) => key)
  await complain('saga lost', 'select unnest($1::text[]) as id except select id from aaas_saga', [started])
  await complain(
    'saga without end',
    `select id, state from aaas_saga where state not in ('completed', 'compensated') and parked_reason is null`,
  )
  await complain('step twice', 'select gid, branch, op, count(*) from remote group by 1, 2, 3 having count(*) > 1')
  await complain(
    'completed in part',
    `select s.id from aaas_saga s where state = 'completed' and (select tries - 100 * cancels from ends r where r.gid = s.id) is distinct from 3`,
  )
  await complain(
    'compensated in part',
    `select s.id from aaas_saga s where state = 'compensated' and exists (select from ends r where r.gid = s.id and tries <> cancels)`,
  )
  const states = await rows('select state, count(*) as n from aaas_saga group by 1')
  const [{ transfers }] = await rows('select count(*) as transfers from ledger_transfer')
  return {
    problems,
    figures: {
      ...{ paid: paid.length, insufficient: refused.length, transfers, balanced: report.balanced },
      ...Object.fromEntries(states.map(row => [row.state, row.n])),
    },
  }
}
