// Keyed transactions of several statements: one by one, together, and in one pipeline; with and without an event.
import { systemClock, systemIds } from '../../packages/core-cloud/dist/src/kernel/index.js'
import { emitEvent } from '../../packages/support-cloud/dist/src/event/index.js'
import { migrate, pgDatabase } from '../../packages/support-cloud/dist/src/rdbms/index.js'
import {
  pgTransactions,
  transactionMigrations,
  withIdempotency,
} from '../../packages/support-cloud/dist/src/transaction/index.js'
import { closedLoop, figures } from '../load.mjs'
import { onOneServer } from '../one-server.mjs'

const rounds = 3
const seconds = 1
const callers = [1, 16]
const accounts = 100_000
const ids = systemIds()

/** A transfer as an application writes it: two conditional updates and two rows of a journal. */
function transfer() {
  const [from, to] = [Math.random(), Math.random()].map(luck => Math.floor(luck * accounts)).sort((a, b) => a - b)
  const change = (id, by) => ({
    name: 'change',
    text: 'update balance set amount = amount + $2 where id = $1 and amount + $2 > -1000000000',
    values: [id, by],
  })
  const note = (id, by) => ({
    name: 'note',
    text: 'insert into journal (account, amount) values ($1, $2)',
    values: [id, by],
  })
  return [change(from, -5), change(to, 5), note(from, -5), note(to, 5)]
}

export const bench = ({ say }) =>
  onOneServer({ minutes: 5, say }, async ({ database: make, atEnd }) => {
    const { href: url } = await make('transactions')
    const database = pgDatabase({ url, maxConnections: 16 })
    const transactions = pgTransactions({ url, clock: systemClock({ keepAlive: true }), ids, maxConnections: 16 })
    await atEnd(() => database[Symbol.asyncDispose]())
    await atEnd(() => transactions[Symbol.asyncDispose]())
    await migrate(database, [transactionMigrations])
    await database.script(`create table balance (id int primary key, amount bigint not null) with (fillfactor = 50);
      insert into balance select id, 0 from generate_series(0, ${accounts - 1}) id; analyze balance;
      create table journal (id bigint generated always as identity primary key, account int, amount bigint)`)
    const event = () => ({ eventId: ids.uuid(), topic: 'paid', key: '', payload: { amount: 5 } })
    const oneByOne = async tx => {
      for (const statement of transfer()) await tx.query(statement)
    }
    const together = async tx => Promise.all(transfer().map(statement => tx.query(statement))).then(() => null)
    const systems = {
      unpipelined: key => withIdempotency(database, { scope: 'b', key, body: null }, oneByOne),
      'unpipelined + event': key =>
        withIdempotency(database, { scope: 'b', key, body: null }, async tx => {
          await oneByOne(tx)
          await emitEvent(tx, event())
        }),
      'run, one by one': key => transactions.run(key, oneByOne),
      'run, together': key => transactions.run(key, together),
      'run, together + event': key =>
        transactions.run(key, async tx => {
          await Promise.all([together(tx), tx.emit(event())])
        }),
      pipeline: key => transactions.pipeline(key, transfer()),
    }
    const all = figures()
    for (let round = 1; round <= rounds; round++) {
      for (const [name, work] of Object.entries(systems)) {
        for (const c of callers) {
          const { perSecond, p99 } = await closedLoop({ callers: c, seconds, send: () => work(ids.uuid()) })
          all.add(`${name} c=${c}`, '1/s', perSecond)
          all.add(`${name} c=${c} p99`, 'ms', p99)
        }
      }
      say(
        `round ${round}: ${Object.keys(systems)
          .map(name => `${name} ${Math.round(all.median(`${name} c=16`))}/s`)
          .join(', ')}`,
      )
    }
    const [sums] = await database.query({
      text: 'select (select sum(amount) from balance) as a, (select sum(amount) from journal) as b',
    })
    if (sums.a !== 0 || sums.b !== 0) throw new Error(`money was made: ${JSON.stringify(sums)}`)
    const ratio = (of, by, c, must) =>
      all.ratio({
        name: `${of} / ${by} at ${c}`,
        of: `${of} c=${c}`,
        by: `${by} c=${c}`,
        ...(must === undefined ? {} : { must }),
      })
    return {
      rows: all.rows(),
      ratios: [
        ratio('pipeline', 'unpipelined', 1, 1.3),
        // Where the processors are the limit, fewer round trips save less.
        ratio('pipeline', 'unpipelined', 16),
        ratio('run, together', 'unpipelined', 1),
        ratio('run, together', 'unpipelined', 16),
        ratio('run, one by one', 'unpipelined', 1),
        ratio('run, one by one', 'unpipelined', 16),
        ratio('run, together + event', 'run, together', 16, 0.75),
        ratio('unpipelined + event', 'unpipelined', 16),
      ],
    }
  })
