// Acknowledged publishes and consuming with acknowledgement: ours, and the client of NATS that ours stands on.
import { natsStreams } from '../../packages/core-cloud/dist/src/bus/nats/nats-streams.js'
import { silentLogger, systemClock, systemIds } from '../../packages/core-cloud/dist/src/kernel/index.js'
import { itemBytes } from './payload.mjs'

/** The peers are installed beside this file, not with the project. */
const load = name => import(name)
const messages = 8_000

async function ours(url) {
  const clock = systemClock({ keepAlive: true })
  const streams = await natsStreams({ servers: url, clock, ids: systemIds(), logger: silentLogger })
  await streams.ensure({ name: 'bench-ours', subjects: ['bench.ours'], durability: 'relaxed' })
  let count = 0
  return {
    publish: () => streams.publish('bench.ours', itemBytes),
    async consume(amount) {
      count += 1
      const config = { name: `c${count}`, maxUnsettled: 20_000 }
      let seen = 0
      let done
      const all = new Promise(resolve => {
        done = resolve
      })
      const start = performance.now()
      const handler = () => {
        seen += 1
        if (seen === amount) done()
      }
      const subscription = await streams.consume('bench-ours', config, handler, { concurrency: 256 })
      await all
      const took = performance.now() - start
      await subscription.drain()
      await streams.removeConsumer('bench-ours', config.name)
      return took
    },
    close: () => streams[Symbol.asyncDispose](),
  }
}

async function raw(url) {
  const { connect } = await load('@nats-io/transport-node')
  const { AckPolicy, jetstream, jetstreamManager } = await load('@nats-io/jetstream')
  const nc = await connect({ servers: url, noAsyncTraces: true })
  const js = jetstream(nc)
  const jsm = await jetstreamManager(nc)
  await jsm.streams.add({ name: 'bench-raw', subjects: ['bench.raw'], storage: 'file' })
  let count = 0
  return {
    publish: () => js.publish('bench.raw', itemBytes),
    async consume(amount) {
      count += 1
      const name = `c${count}`
      const start = performance.now()
      await jsm.consumers.add('bench-raw', {
        durable_name: name,
        ack_policy: AckPolicy.Explicit,
        max_ack_pending: 20_000,
      })
      const consumer = await js.consumers.get('bench-raw', name)
      let seen = 0
      const batch = await consumer.consume({ max_messages: 1_000 })
      for await (const message of batch) {
        message.ack()
        seen += 1
        if (seen === amount) break
      }
      const took = performance.now() - start
      await jsm.consumers.delete('bench-raw', name)
      return took
    },
    close: () => nc.close(),
  }
}

/** Rounds in turns in this process; the broker is the other one. */
export async function measureStreams({ url, rounds, ms, all }) {
  const sides = new Map([['nats v3', await raw(url)]])
  sides.set('ours', await ours(url))
  try {
    for (const side of sides.values()) await publish(side, 64, ms)
    for (let round = 0; round < rounds; round++) {
      for (const callers of [1, 64, 1_024])
        for (const [name, side] of sides)
          all.add(`publish ${name} c=${callers}`, '1/s', await publish(side, callers, ms))
      for (const [name, side] of sides)
        all.add(`consume ${name}`, '1/s', (messages / (await side.consume(messages))) * 1_000)
    }
  } finally {
    for (const side of sides.values()) await side.close()
  }
}

async function publish(side, callers, ms) {
  let done = 0
  const start = performance.now()
  const end = start + ms
  const caller = async () => {
    while (performance.now() < end) {
      await side.publish()
      done += 1
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  return (done / (performance.now() - start)) * 1_000
}
