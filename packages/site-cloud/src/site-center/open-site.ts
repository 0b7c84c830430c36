import { CloudError } from '@aaas/core-cloud/kernel'
import type { Database, Queryable } from '@aaas/support-cloud/rdbms'
import { nextGeneration, siteByName } from './site-store.js'

/**
 * Makes a site with a database of its own unless it is there. Two callers at once make it once: the second waits,
 * because making the database again would change the password that the first one stored.
 * @throws CloudError `site.center.conflict` when the name belongs to another kind or a host name to another site.
 */
export async function openSite(options: {
  readonly database: Database
  readonly name: string
  readonly kind: 'site' | 'service'
  readonly hostNames: readonly string[]
  readonly provision: (site: string, kind: 'site' | 'service') => Promise<string>
}): Promise<void> {
  const { database, name, kind, hostNames } = options
  await database.transaction(async tx => {
    await tx.query({ text: `select pg_advisory_xact_lock(4160, hashtext($1))`, values: [`site ${name}`] })
    const existing = await siteByName(tx, name, 'read')
    await checkHostNames(tx, name, hostNames)
    if (existing !== undefined) {
      if (existing.kind === kind) return
      throw new CloudError('site.center.conflict', `${name} is a ${existing.kind}, the package is a ${kind}`, {
        field: 'site',
      })
    }
    const databaseUrl = await options.provision(name, kind)
    await tx.query({
      text: `insert into site(name, kind, host_names, database_url, generation) values ($1, $2, $3, $4, $5)`,
      values: [name, kind, JSON.stringify(hostNames), databaseUrl, await nextGeneration(tx)],
    })
  })
}

/** @throws CloudError `site.center.conflict` when one of the names belongs to another site. */
export async function checkHostNames(tx: Queryable, site: string, hostNames: readonly string[]): Promise<void> {
  const taken = await tx.query<{ name: string; taken: string }>({
    text: `select s.name, h.value as taken from site s, jsonb_array_elements_text(s.host_names) h
      where s.name <> $1 and h.value = any($2::text[]) limit 1`,
    values: [site, hostNames],
  })
  const [first] = taken
  if (first === undefined) return
  throw new CloudError('site.center.conflict', `the host name ${first.taken} belongs to the site ${first.name}`, {
    field: 'hostNames',
  })
}
