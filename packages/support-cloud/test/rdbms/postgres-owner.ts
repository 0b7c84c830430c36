// A process that owns a server: starts it, says so on a line of JSON, and stays until it is killed.
import { CloudError, silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { startPostgres } from '@aaas/support-cloud/rdbms'

const [dataDir = '', socketDir = '', engine = 'auto'] = process.argv.slice(2)
try {
  const server = await startPostgres({
    dataDir,
    socketDir,
    clock: systemClock({ keepAlive: true }),
    ids: systemIds(),
    logger: silentLogger,
    engine: engine as 'auto',
  })
  console.log(JSON.stringify({ url: server.url, adopted: server.adopted, engine: server.engine }))
  setInterval(() => undefined, 60_000)
} catch (error) {
  console.log(JSON.stringify({ code: CloudError.from(error).code, message: String(error) }))
  process.exitCode = 1
}
