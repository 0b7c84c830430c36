// The local driver as the scenario of lost messages needs it: a hub with streams on disk in a process of its own, reached
// over a unix socket. Also that process, and how its clients connect.
import { connectBus, listenBus, openStreams, remoteStreams, serveStreams } from '@aaas/core-cloud/bus'
import { silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { forkReady, killed } from './_loss.mjs'

const clock = systemClock({ keepAlive: true })

/** @returns streams of the server, in any process. */
export async function connect({ socketPath }, name) {
  const bus = await connectBus({ socketPath, token: name, clock, ids: systemIds(), logger: silentLogger })
  return remoteStreams({ bus, clock })
}

/** @param folder - of the run; its path is short enough for a socket. */
export function localDriver(folder) {
  const settings = { socketPath: `${folder}/hub`, dir: `${folder}/streams` }
  let server
  return {
    name: 'local',
    module: import.meta.url,
    settings,
    durability: 'relaxed',
    async start() {
      server = await forkReady(import.meta.url, 'serve', settings)
    },
    kill: () => killed(server),
  }
}

if (process.argv[2] === 'serve') {
  const { socketPath, dir } = JSON.parse(process.argv[3])
  const logger = silentLogger
  const rights = { publish: ['>'], subscribe: ['>'] }
  const authenticate = token => ({ name: token, kind: 'test', ...rights })
  const hub = await listenBus({ socketPath, clock, logger, authenticate })
  const streams = await openStreams({ dir, clock, logger, limits: { segmentBytes: 1_048_576 } })
  await serveStreams({ bus: hub.bus({ name: 'streams', kind: 'test', ...rights }), streams })
  process.on('disconnect', () => process.exit(0))
  process.send('ready')
}
