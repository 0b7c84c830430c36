// The suites of the bus and of the streams on three NATS servers, each of which is killed (kill -9) and started again in turn.
import { setTimeout as pause } from 'node:timers/promises'
import { busSuite } from '../../packages/core-cloud/dist/src/bus/bus-suite.js'
import { natsBus, natsStreams } from '../../packages/core-cloud/dist/src/bus/nats/nats-bus.js'
import { streamSuite } from '../../packages/core-cloud/dist/src/bus/stream-suite.js'
import { silentLogger, systemClock, systemIds } from '../../packages/core-cloud/dist/src/kernel/index.js'
import { ShiftedClock } from '../../packages/core-cloud/dist/test/bus/fixture/shifted-clock.js'
import { findTestEngine, startNats } from '../../packages/testing/dist/src/index.js'

const config = 'max_payload: 9MB\nmax_pending: 64MB'

/** Opens clients, each at another of the servers that run. */
function clients(servers, open, clock) {
  const opened = []
  return {
    async connect() {
      const running = servers.nodes.filter(node => node.running).map(node => node.url)
      const first = running[opened.length % running.length]
      const urls = [first, ...servers.urls.filter(url => url !== first)]
      const client = await open({ servers: urls, clock, ids: systemIds(), logger: silentLogger })
      opened.push(client)
      return client
    },
    async [Symbol.asyncDispose]() {
      for (const client of opened) await client[Symbol.asyncDispose]()
    },
  }
}

async function run(tests, say, figures) {
  for (const [name, test] of tests) {
    try {
      await test()
      figures.passed += 1
    } catch (error) {
      figures.failed += 1
      say(`not ok: ${name}: ${error?.stack ?? error}`)
    }
  }
}

export async function verify({ say }) {
  const engine = findTestEngine('nats')
  if ('skip' in engine) return { ok: false, skipped: engine.skip }
  const servers = await startNats({ program: engine.path, count: 3, config, jetstream: 'max_file: 4TB' })
  const bus = { passed: 0, failed: 0, kills: 0 }
  const streams = { passed: 0, failed: 0, kills: 0 }
  try {
    const busTests = []
    let opened = 0
    busSuite(
      (name, test) => busTests.push([name, test]),
      async () => {
        const node = servers.nodes[Math.floor(opened / 4) % 3]
        if (opened % 4 === 1) {
          await node.kill()
          bus.kills += 1
        }
        if (opened % 4 === 3) await node.start()
        opened += 1
        const clock = new ShiftedClock()
        return { clock, passTime: ms => clock.pass(ms), ...clients(servers, natsBus, clock) }
      },
      { ends: 'separate', balance: 'random' },
    )
    await run(busTests, say, bus)
    for (const node of servers.nodes) await node.start()
    say(`bus: ${bus.passed} passed, ${bus.failed} failed`)

    const clock = systemClock({ keepAlive: true })
    const streamTests = []
    streamSuite(
      (name, test) => streamTests.push([name, test]),
      async () => ({
        clock,
        passTime: ms => pause(ms),
        ...clients(servers, natsStreams, clock),
        async restart() {
          const node = servers.nodes[streams.kills % 3]
          streams.kills += 1
          // A server writes what consumers settled ten times a second; what it forgets is delivered again.
          await pause(300)
          await node.kill()
          await node.start()
        },
      }),
      { durabilities: ['replicated', 'relaxed'], restarts: 'resume' },
    )
    await run(streamTests, say, streams)
    say(`streams: ${streams.passed} passed, ${streams.failed} failed`)
  } finally {
    await servers[Symbol.asyncDispose]()
  }
  return {
    ok: bus.failed + streams.failed === 0 && bus.passed > 0 && streams.passed > 0,
    bus,
    streams,
  }
}
