// One process under load of `verify tx-crash`: keyed transactions with ledger and events, and sagas with barriers.
// Tells its parent what it begins and what was acknowledged; it may be killed at any moment.
import { CloudError, silentLogger, systemClock, systemIds } from '../../packages/core-cloud/dist/src/kernel/index.js'
import { pgDatabase } from '../../packages/support-cloud/dist/src/rdbms/index.js'
import {
  barrier,
  openLedger,
  pgSagas,
  pgTransactions,
} from '../../packages/support-cloud/dist/src/transaction/index.js'

const [url, name] = process.argv.slice(2)
const clock = systemClock({ keepAlive: true })
const ids = systemIds()
const database = pgDatabase({ url, maxConnections: 6 })
const ledger = openLedger({ database })
const transactions = pgTransactions({ url, clock, ids, ledger, maxConnections: 8 })
const pick = count => Math.floor(Math.random() * count)
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))
const tell = message => process.connected && process.send(message)

/** A participant that reserves and gives back in its own database transaction, and is sometimes late, lost or unwilling. */
const remote = (branch, op) => async context => {
  const luck = Math.random()
  if (luck < 0.05) throw new Error('lost on the way there')
  if (luck < 0.1) await sleep(pick(200))
  const gid = context.sagaId
  if (op === 'try' && context.input.refuses === branch) {
    throw new CloudError('support.transaction.insufficient', `${branch} refuses`)
  }
  await database.transaction(async tx => {
    await barrier(tx, { gid, branch, op }, () =>
      tx.query({ text: 'insert into remote values ($1, $2, $3)', values: [gid, branch, op] }),
    )
  })
  if (Math.random() < 0.05) throw new Error('lost on the way back')
  return branch
}
const step = branch => ({
  name: branch,
  run: remote(branch, 'try'),
  compensate: remote(branch, 'cancel'),
  timeoutMs: 5_000,
  retry: { attempts: 8, firstPauseMs: 20, longestPauseMs: 500 },
  compensateRetry: { attempts: 50, firstPauseMs: 20, longestPauseMs: 500 },
})
const sagas = pgSagas({
  ...{ database, clock, ids, logger: silentLogger, leaseMs: 2_500, pollMs: 200, concurrency: 8 },
  definitions: [{ name: 'trip', version: 1, steps: ['flight', 'hotel', 'car'].map(step) }],
})
const worker = sagas.work()

let draining = false
let open = 0
process.on('message', message => {
  if (message.kind === 'drain') draining = true
  // Operations of a process that died: whoever asked them asks again, with the same key.
  if (message.kind === 'again') for (const operation of message.operations) void perform(operation)
})
process.on('disconnect', () => process.exit(0))

async function perform(operation) {
  open += 1
  for (;;) {
    try {
      const outcome = operation.kind === 'saga' ? await startSaga(operation) : await pay(operation)
      tell({ kind: 'acknowledged', key: operation.key, outcome })
      break
    } catch (error) {
      if (CloudError.is(error, 'support.transaction.insufficient')) {
        tell({ kind: 'acknowledged', key: operation.key, outcome: 'insufficient' })
        break
      }
      if (!CloudError.is(error) || !error.retryable)
        tell({ kind: 'odd', text: `${operation.kind}: ${error?.code} ${error?.stack ?? error}` })
      await sleep(50)
    }
  }
  open -= 1
}

async function pay({ key, id, from, to, amount, kind }) {
  const values = [key]
  const options = { body: { id, amount }, deadline: Date.now() + 4_000, scope: 'pay' }
  if (kind === 'pipeline') {
    const transfer = [{ kind: 'posted', id, debit: from, credit: to, amount, currency: 'CNY', code: 'pay' }]
    const statements = [
      { name: 'effect', text: 'insert into effect values ($1)', values },
      {
        name: 'event',
        text: `insert into aaas_outbox (event_id, topic, key, payload) values ($1, 'paid', $2, '{}')`,
        values: [ids.uuid(), key],
      },
      { name: 'pay', text: 'insert into pipelined values ($1, $2)', values: [key, JSON.stringify(transfer)] },
    ]
    return (await transactions.pipeline(key, statements, options)).replayed ? 'replayed' : 'done'
  }
  const { replayed } = await transactions.run(
    key,
    async tx => {
      await Promise.all([
        tx.query({ name: 'effect', text: 'insert into effect values ($1)', values }),
        tx.emit({ topic: 'paid', key, payload: { amount } }),
      ])
      await tx.ledger.apply([{ kind: 'posted', id, debit: from, credit: to, amount, currency: 'CNY', code: 'pay' }])
      return { amount }
    },
    options,
  )
  return replayed ? 'replayed' : 'done'
}

async function startSaga({ key, refuses }) {
  await sagas.start({ id: key, name: 'trip', input: { refuses } })
  worker.wake()
  return 'started'
}

let count = 0
async function caller() {
  while (!draining) {
    const luck = Math.random()
    const kind = luck < 0.15 ? 'saga' : luck < 0.4 ? 'pipeline' : 'run'
    const from = pick(12)
    const operation = {
      ...{ kind, key: `${name}-${count++}`, id: ids.uuid(), amount: 1 + pick(100) },
      ...{ from: `a${from}`, to: `a${(from + 1 + pick(11)) % 12}`, refuses: ['', '', 'hotel', 'car'][pick(4)] },
    }
    tell({ kind: 'begun', operation })
    await perform(operation)
    // Some callers do not believe the answer.
    if (kind !== 'saga' && Math.random() < 0.1) await perform(operation)
    await sleep(pick(20))
  }
}
await Promise.all(Array.from({ length: 4 }, caller))
while (open > 0) await sleep(20)
tell({ kind: 'drained', stats: transactions.stats() })
