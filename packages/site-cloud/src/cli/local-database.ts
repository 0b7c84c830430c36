import { CloudError } from '@aaas/core-cloud/kernel'
import { changedUrl, pgDatabase, runningServerUrl } from '@aaas/support-cloud/rdbms'
import type { CliContext } from './cli-context.js'

/**
 * The administrator's connection string of the platform's database server on this machine. Secret.
 * @throws CloudError `support.rdbms.unavailable` when it does not run.
 */
export async function adminUrlOf({ home, environment }: CliContext): Promise<string> {
  if (environment.DATABASE_URL) return environment.DATABASE_URL
  return runningServerUrl({ dataDir: home.postgresDir, socketDir: home.runDir })
}

/** For what needs the files of the server. @throws CloudError `core.kernel.invalid-config`, field `DATABASE_URL`. */
export function refuseForeignServer({ environment }: CliContext, what: string): void {
  if (!environment.DATABASE_URL) return
  throw new CloudError(
    'core.kernel.invalid-config',
    `DATABASE_URL names a server of your own: ${what} it by its tools`,
    {
      field: 'DATABASE_URL',
    },
  )
}

/**
 * The database of a site, as the administrator sees it.
 * @throws CloudError `site.center.unknown-site`.
 */
export async function siteDatabase(adminUrl: string, site: string): Promise<{ readonly name: string; url: string }> {
  await using control = pgDatabase({ url: changedUrl(adminUrl, { name: 'aaas_control' }), maxConnections: 1 })
  const [row] = await control.query<{ url: string }>({
    text: `select database_url as url from site where name = $1 and kind = 'site'`,
    values: [site],
  })
  if (row === undefined) throw new CloudError('site.center.unknown-site', `no site ${site}`, { field: 'name' })
  const name = decodeURIComponent(new URL(row.url).pathname.slice(1))
  return { name, url: changedUrl(adminUrl, { name }) }
}
