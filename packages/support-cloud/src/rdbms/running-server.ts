import { join, resolve } from 'node:path'
import { CloudError } from '@aaas/core-cloud/kernel'
import { clusterPaths, readPassword } from './postgres-cluster.js'
import { withConnection } from './postgres-connection.js'
import { type PostgresOptions, runningPid, superuserUrl } from './postgres-server.js'

/**
 * The superuser's connection string of a server that another process started by `startPostgres` with these folders. Secret.
 * @throws CloudError `support.rdbms.unavailable` when none runs there or it does not answer; `core.kernel.not-writable`
 *   when its password belongs to another user.
 */
export async function runningServerUrl(options: Pick<PostgresOptions, 'dataDir' | 'socketDir'>): Promise<string> {
  const paths = clusterPaths(resolve(options.dataDir))
  const password = await readPassword(paths)
  if (password === undefined || (await runningPid(paths)) === undefined) {
    throw new CloudError('support.rdbms.unavailable', `no server runs on ${paths.data}`)
  }
  const url = superuserUrl(password, join(resolve(options.socketDir), 'pg'))
  await withConnection(url, client => client.query('select 1'))
  return url
}
