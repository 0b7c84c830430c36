// A relay in a process of its own: arguments are the database, the bus, its name, the channel of the bell.
import { silentLogger, systemClock, systemIds } from '../../packages/core-cloud/dist/src/kernel/index.js'
import { createOutboxRelay, toStreams } from '../../packages/support-cloud/dist/src/event/index.js'
import { listen, pgDatabase } from '../../packages/support-cloud/dist/src/rdbms/index.js'
import { ensureStream, openBus, publisher } from './_outbox-bus.mjs'

const [url, bus, owner, channel] = process.argv.slice(2)
const clock = systemClock({ keepAlive: true })
const connection = await openBus(bus)
await ensureStream(connection)
const target = toStreams({ publisher: publisher(connection) })
const relay = createOutboxRelay({
  database: pgDatabase({ url, maxConnections: 3 }),
  clock,
  ids: systemIds(),
  logger: silentLogger,
  owner,
  subscribers: () => [target],
  batch: 500,
  concurrency: 128,
  pollMs: 200,
  restMs: 10,
  firstPauseMs: 200,
  longestPauseMs: 2_000,
  maxAttempts: 1_000,
})
listen({ url, channel, clock, logger: silentLogger, onNotify: () => relay.wake() })
// A parent that ends takes its relays along.
process.stdin.resume().on('end', () => process.exit(0))
