// NATS as the scenario of lost messages needs it: one real server with a stream on disk, killed and started again on its
// files. Also how its clients connect.
import { natsStreams } from '@aaas/core-cloud/bus/nats'
import { silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { startNats } from '../../packages/testing/dist/src/index.js'

const clock = systemClock({ keepAlive: true })

/** @returns streams of the server, in any process. */
export function connect({ url }, name) {
  return natsStreams({
    servers: url,
    name,
    clock,
    ids: systemIds(),
    logger: silentLogger,
    limits: { connectMs: 20_000 },
  })
}

/** @param program - path of nats-server. */
export function natsDriver(program) {
  let servers
  const settings = { url: '' }
  return {
    name: 'nats',
    module: import.meta.url,
    settings,
    durability: 'relaxed',
    // The server writes what consumers settled ten times a second: killed, it delivers the last of it again.
    forgetsSettled: true,
    async start() {
      if (servers !== undefined) return servers.nodes[0].start()
      servers = await startNats({ program, jetstream: 'max_file: 100GB' })
      settings.url = servers.urls[0]
    },
    kill: () => servers.nodes[0].kill(),
    dispose: () => servers?.[Symbol.asyncDispose](),
  }
}
