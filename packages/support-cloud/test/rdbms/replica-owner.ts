// A process that owns a primary and its standby: says so on a line of JSON when both run, and stays until it is killed.
import { silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { startReplicatedPostgres } from '@aaas/support-cloud/rdbms'

const [dataDir = '', socketDir = ''] = process.argv.slice(2)
const servers = await startReplicatedPostgres({
  ...{ dataDir, socketDir, clock: systemClock({ keepAlive: true }), ids: systemIds(), logger: silentLogger },
})
await servers.inSync()
console.log(JSON.stringify({ url: servers.url, ...servers.status() }))
setInterval(() => undefined, 60_000)
