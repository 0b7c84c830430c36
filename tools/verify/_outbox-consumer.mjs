// Reads the stream in its order and applies each event once. Its place in the stream, the inbox and the effects are one
// transaction. Arguments: the database, the bus.
import { jetstream } from '@nats-io/jetstream'
import { eventOf, inboxNew } from '../../packages/support-cloud/dist/src/event/index.js'
import { pgDatabase } from '../../packages/support-cloud/dist/src/rdbms/index.js'
import { ensureStream, openBus, streamName } from './_outbox-bus.mjs'

const [url, bus] = process.argv.slice(2)
process.stdin.resume().on('end', () => process.exit(0))
const database = pgDatabase({ url, maxConnections: 1, statementTimeoutMs: 60_000 })
const connection = await openBus(bus)
await ensureStream(connection)
const [{ sequence }] = await database.query({ text: 'select sequence from place' })
const reader = await jetstream(connection).consumers.get(streamName, {
  opt_start_seq: sequence + 1,
  deliver_policy: 'by_start_sequence',
})
const messages = await reader.consume({ max_messages: 4_000, expires: 5_000, idle_heartbeat: 500 })
let batch = []
let last = sequence
for await (const message of messages) {
  // The reader takes itself up after a restart of the bus; it must not leave anything out.
  if (message.seq !== last + 1) throw new Error(`sequence ${message.seq} came after ${last}`)
  last = message.seq
  const headers = Object.fromEntries([...message.headers].map(([name, values]) => [name, values[0]]))
  batch.push(eventOf({ headers, payload: message.data }))
  if (batch.length >= 1_000 || messages.getReceived() === messages.getProcessed() || message.info.pending === 0)
    await apply()
}

async function apply() {
  const events = new Map(batch.map(event => [event.eventId, event]).reverse())
  batch = []
  await database.transaction(async tx => {
    const fresh = (await inboxNew(tx, 'ledger', [...events.keys()].reverse())).map(id => events.get(id))
    await tx.query({
      name: 'apply',
      text: 'insert into applied (event_id, key, n) select * from unnest($1::uuid[], $2::text[], $3::int[])',
      values: [fresh.map(event => event.eventId), fresh.map(event => event.key), fresh.map(event => event.payload.n)],
    })
    await tx.query({ text: 'update place set sequence = $1', values: [last] })
  })
}
