import type { PackageJson, PackageRef } from '@aaas/core-cloud/cloudware'
import type { Client, Handlers } from '@aaas/core-cloud/contract'
import type { hostAgentContract } from '@aaas/core-cloud/deploy'
import { type CallContext, CloudError, type Logger } from '@aaas/core-cloud/kernel'
import type { Database, Queryable } from '@aaas/support-cloud/rdbms'
import type { CapacityPlan } from '../template/index.js'
import { checkRequirements } from './package-requirements.js'
import type { PackageStore } from './package-store.js'
import type { Site, SiteVersion, StoredPackage, siteCenterContract } from './site-center-contract.js'
import {
  allPackages,
  allSites,
  cloudwareRows,
  insertPackage,
  newestAudit,
  nextGeneration,
  type PackageRow,
  packageByDigest,
  reports,
  type SiteRow,
  hasConfig,
  siteByName,
  usageOf,
  type VersionRow,
  versionOf,
  versionsOf,
  writeAudit,
} from './site-store.js'
import { siteVersion, siteView, storedPackage } from './site-view.js'

type Service = Handlers<typeof siteCenterContract>
type In<K extends keyof Service> = Parameters<Service[K]>[0]
type LogRecords = Awaited<ReturnType<Service['logs']>>['records']

/** What a package says about a site that is generated from it. */
export interface PackageFacts {
  readonly plan?: CapacityPlan
  readonly hostNames: readonly string[]
}

export interface SiteCenterDeps {
  readonly database: Database
  readonly packages: PackageStore
  readonly logger: Logger
  /** Checks signature and content of uploaded bytes. */
  readonly verify: (tarball: Uint8Array, signature: unknown) => { ref: PackageRef; packageJson: PackageJson; publisher: string }
  /** Reads what the factory wrote into a site's package. */
  readonly inspect: (tarball: Uint8Array) => Promise<PackageFacts>
  /** Gives a new site its own database. @returns its connection string. */
  readonly provision: (site: string, kind: 'site' | 'service') => Promise<string>
  /** Tells the hosts that something they should run has changed. */
  readonly changed: () => void
  /** The host that runs a site; undefined when none is connected. */
  readonly host: () => Client<typeof hostAgentContract> | undefined
  /** Host name every site gets besides its own, such as `localhost`. */
  readonly domain: string
}

/** Keeps sites, their versions and what is wanted of them. Hosts pull the result; nothing here is in a site's request path. */
export class SiteCenter implements Service {
  constructor(readonly deps: SiteCenterDeps) {}

  async uploadPackage(input: In<'uploadPackage'>, context: CallContext): Promise<StoredPackage> {
    const tarball = Buffer.from(input.base64, 'base64')
    const { ref, packageJson, publisher } = this.deps.verify(tarball, input.signature)
    const known = await packageByDigest(this.deps.database, ref.digest)
    if (known !== undefined) return storedPackage(known)
    await this.deps.packages.put(ref.digest, tarball)
    await insertPackage(this.deps.database, {
      digest: ref.digest,
      name: ref.name,
      version: ref.version,
      kind: packageJson.aaas.kind,
      publisher,
      packageJson,
      signature: input.signature,
      bytes: tarball.length,
    })
    await this.#audit(context, 'package.upload', '', `${ref.name}@${ref.version} ${ref.digest.slice(0, 12)}`)
    const row = await packageByDigest(this.deps.database, ref.digest)
    if (row === undefined) throw new Error('the package row vanished')
    return storedPackage(row)
  }

  async listPackages(): Promise<{ packages: StoredPackage[] }> {
    return { packages: (await allPackages(this.deps.database)).map(storedPackage) }
  }

  async pushVersion(input: In<'pushVersion'>, context: CallContext): Promise<SiteVersion> {
    const { database } = this.deps
    const stored = await packageByDigest(database, input.digest)
    if (stored === undefined) {
      throw new CloudError('site.center.unknown-version', 'no such package; upload it first', { field: 'digest' })
    }
    if (stored.kind === 'cloudware') {
      throw new CloudError('site.center.conflict', `${stored.name} is cloudware; add it to a site instead`, { field: 'digest' })
    }
    const facts = await this.deps.inspect(await this.deps.packages.get(stored.digest))
    await this.#ensureSite(input.site, stored.kind, facts)
    const row = await database.transaction(async tx => {
      await this.#site(tx, input.site, 'lock')
      const newest = (await versionsOf(tx, input.site))[0]
      const config = JSON.stringify(input.config ?? {})
      if (newest?.digest === stored.digest && (await hasConfig(tx, newest, config))) return newest
      const version = (newest?.version ?? 0) + 1
      await tx.query({
        text: 'insert into site_version(site, version, digest, config, plan, pushed_by) values ($1, $2, $3, $4, $5, $6)',
        values: [input.site, version, stored.digest, config, JSON.stringify(facts.plan ?? null), actorOf(context)],
      })
      await writeAudit(tx, {
        actor: actorOf(context),
        action: 'site.push',
        site: input.site,
        detail: `version ${version}: ${stored.name}@${stored.version}`,
      })
      const inserted = await versionOf(tx, input.site, version)
      if (inserted === undefined) throw new Error('the version row vanished')
      return inserted
    })
    return siteVersion(row, stored)
  }

  async listSites(): Promise<{ sites: Site[] }> {
    const sites = await allSites(this.deps.database)
    return { sites: await this.#views(sites) }
  }

  async getSite(input: In<'getSite'>): Promise<Site> {
    return this.#view(await this.#site(this.deps.database, input.site, 'read'))
  }

  async listVersions(input: In<'listVersions'>): Promise<{ versions: SiteVersion[] }> {
    await this.#site(this.deps.database, input.site, 'read')
    const versions = await versionsOf(this.deps.database, input.site)
    const packages = await this.#packages()
    return {
      versions: versions.flatMap(row => {
        const stored = packages.get(row.digest)
        return stored === undefined ? [] : [siteVersion(row, stored)]
      }),
    }
  }

  async deploy(input: In<'deploy'>, context: CallContext): Promise<Site> {
    return this.#change(input.site, context, 'site.deploy', async (tx, site) => {
      const row =
        input.version === undefined ? (await versionsOf(tx, site.name))[0] : await versionOf(tx, site.name, input.version)
      if (row === undefined) throw unknownVersion(site.name, input.version)
      await this.#want(tx, site, row)
      return `version ${row.version}`
    })
  }

  async rollback(input: In<'rollback'>, context: CallContext): Promise<Site> {
    return this.#change(input.site, context, 'site.rollback', async (tx, site) => {
      const target = input.version ?? (await this.#earlierVersion(tx, site))
      const row = await versionOf(tx, site.name, target)
      if (row === undefined) throw unknownVersion(site.name, target)
      await this.#want(tx, site, row)
      return `version ${site.version} to ${row.version}`
    })
  }

  async scale(input: In<'scale'>, context: CallContext): Promise<Site> {
    return this.#change(input.site, context, 'site.scale', async (tx, site) => {
      await tx.query({ text: 'update site set instances = $2 where name = $1', values: [site.name, input.instances] })
      return `${site.instances} to ${input.instances} instances`
    })
  }

  async restart(input: In<'restart'>, context: CallContext): Promise<Site> {
    return this.#change(input.site, context, 'site.restart', async (tx, site) => {
      await tx.query({ text: 'update site set restart = restart + 1 where name = $1', values: [site.name] })
      return 'rolling restart'
    })
  }

  async setMaintenance(input: In<'setMaintenance'>, context: CallContext): Promise<Site> {
    return this.#change(input.site, context, 'site.maintenance', async (tx, site) => {
      await tx.query({ text: 'update site set maintenance = $2 where name = $1', values: [site.name, input.on] })
      return input.on ? 'on' : 'off'
    })
  }

  async addCloudware(input: In<'addCloudware'>, context: CallContext): Promise<Site> {
    return this.#change(input.site, context, 'cloudware.add', async (tx, site) => {
      const stored = await packageByDigest(tx, input.digest)
      if (stored === undefined) throw unknownVersion(site.name, undefined)
      const current = (await cloudwareRows(tx)).filter(row => row.site === site.name && row.name !== stored.name)
      const wanted = await versionOf(tx, site.name, site.version)
      const program = wanted === undefined ? undefined : await packageByDigest(tx, wanted.digest)
      const others = await Promise.all(current.map(row => packageByDigest(tx, row.digest)))
      checkRequirements({
        ...(program === undefined ? {} : { program: program.packageJson }),
        cloudware: [...others.flatMap(row => (row === undefined ? [] : [row.packageJson])), stored.packageJson],
      })
      await tx.query({
        text: `insert into site_cloudware(site, name, digest, config) values ($1, $2, $3, $4)
          on conflict (site, name) do update set digest = excluded.digest, config = excluded.config, added_at = now()`,
        values: [site.name, stored.name, stored.digest, JSON.stringify(input.config ?? {})],
      })
      return `${stored.name}@${stored.version}`
    })
  }

  async removeCloudware(input: In<'removeCloudware'>, context: CallContext): Promise<Site> {
    return this.#change(input.site, context, 'cloudware.remove', async (tx, site) => {
      const rest = (await cloudwareRows(tx)).filter(row => row.site === site.name && row.name !== input.name)
      const packages = await Promise.all(rest.map(row => packageByDigest(tx, row.digest)))
      checkRequirements({ cloudware: packages.flatMap(row => (row === undefined ? [] : [row.packageJson])) })
      await tx.query({ text: 'delete from site_cloudware where site = $1 and name = $2', values: [site.name, input.name] })
      return input.name
    })
  }

  async logs(input: In<'logs'>, context: CallContext): Promise<Awaited<ReturnType<Service['logs']>>> {
    const page = await this.#host().logs(
      { ...input, limit: input.limit ?? 200 },
      { signal: context.signal, deadline: context.deadline },
    )
    return { records: page.records.map(record => ({ ...record, site: input.site })) as LogRecords }
  }

  async metrics(input: In<'metrics'>, context: CallContext): Promise<unknown> {
    return this.#host().metrics({ ...input }, { signal: context.signal, deadline: context.deadline })
  }

  async callSite(input: In<'callSite'>, context: CallContext): Promise<{ output: unknown }> {
    const site = await this.#site(this.deps.database, input.site, 'read')
    const { output } = await this.#host().callSite(
      {
        site: site.name,
        kind: site.kind,
        contract: input.contract,
        method: input.method,
        input: input.input,
        actor: { id: actorOf(context), scopes: ['*'] },
      },
      {
        signal: context.signal,
        deadline: context.deadline,
        ...(context.idempotencyKey === undefined ? {} : { idempotencyKey: context.idempotencyKey }),
      },
    )
    return { output }
  }

  async usage(input: In<'usage'>): Promise<{ counters: Record<string, number>; readings: number }> {
    await this.#site(this.deps.database, input.site, 'read')
    return usageOf(this.deps.database, input.site)
  }

  async auditLog(input: In<'auditLog'>): Promise<Awaited<ReturnType<Service['auditLog']>>> {
    return { entries: [...(await newestAudit(this.deps.database, input.limit ?? 100))] }
  }

  /** Marks versions whose roll-out the host gave up, so that people see why. */
  async applyReport(sites: readonly { site: string; failure?: { version: number; step: string; reason: string } }[]): Promise<void> {
    for (const { site, failure } of sites) {
      if (failure === undefined) continue
      await this.deps.database.query({
        text: `update site_version set state = 'failed', failure = $3 where site = $1 and version = $2
          and (state <> 'failed' or failure is distinct from $3)`,
        values: [site, failure.version, `${failure.step}: ${failure.reason}`.slice(0, 2000)],
      })
    }
  }

  async #change(
    name: string,
    context: CallContext,
    action: string,
    work: (tx: Queryable, site: SiteRow) => Promise<string>,
  ): Promise<Site> {
    const site = await this.deps.database.transaction(async tx => {
      const before = await this.#site(tx, name, 'lock')
      const detail = await work(tx, before)
      await tx.query({
        text: 'update site set generation = $2 where name = $1',
        values: [name, await nextGeneration(tx)],
      })
      await writeAudit(tx, { actor: actorOf(context), action, site: name, detail })
      return this.#site(tx, name, 'read')
    })
    this.deps.changed()
    return this.#view(site)
  }

  async #want(tx: Queryable, site: SiteRow, row: VersionRow): Promise<void> {
    const plan = row.plan
    // A person's scaling outlives a deployment; the plan speaks only when it changed or nothing was deployed yet.
    const current = site.version === 0 ? undefined : await versionOf(tx, site.name, site.version)
    const planChanged = JSON.stringify(plan?.performance) !== JSON.stringify(current?.plan?.performance)
    const size = plan !== null && planChanged ? plan : undefined
    await tx.query({
      text: `update site set version = $2, instances = coalesce($3, instances), concurrency = coalesce($4, concurrency),
        memory_mb = coalesce($5, memory_mb), performance = coalesce($6, performance) where name = $1`,
      values: [
        site.name,
        row.version,
        size?.instances ?? null,
        size?.concurrency ?? null,
        size?.memoryMb ?? null,
        plan === null ? null : JSON.stringify(plan.performance),
      ],
    })
    await tx.query({
      text: `update site_version set state = 'deployed', failure = null, deployed_at = clock_timestamp()
        where site = $1 and version = $2`,
      values: [site.name, row.version],
    })
  }

  async #earlierVersion(tx: Queryable, site: SiteRow): Promise<number> {
    const rows = await tx.query<{ version: number }>({
      text: `select version from site_version where site = $1 and version <> $2 and deployed_at is not null and state = 'deployed'
        order by deployed_at desc limit 1`,
      values: [site.name, site.version],
    })
    const version = rows[0]?.version
    if (version === undefined) throw new CloudError('site.center.conflict', `${site.name} has no earlier version to go back to`)
    return version
  }

  async #ensureSite(name: string, kind: 'site' | 'service', facts: PackageFacts): Promise<void> {
    const { database } = this.deps
    const hostNames = JSON.stringify([...new Set([`${name}.${this.deps.domain}`, ...facts.hostNames])])
    const existing = await siteByName(database, name, 'read')
    if (existing !== undefined) {
      if (existing.kind !== kind) throw new CloudError('site.center.conflict', `${name} is a ${existing.kind}, the package is a ${kind}`)
      await database.query({ text: 'update site set host_names = $2 where name = $1', values: [name, hostNames] })
      return
    }
    const taken = await database.query<{ name: string }>({
      text: 'select name from site where host_names ?| $1::text[] limit 1',
      values: [JSON.parse(hostNames)],
    })
    if (taken[0] !== undefined) {
      throw new CloudError('site.center.conflict', `a host name belongs to the site ${taken[0].name}`, { field: 'hostNames' })
    }
    const databaseUrl = await this.deps.provision(name, kind)
    await database.query({
      text: `insert into site(name, kind, host_names, database_url, generation) values ($1, $2, $3, $4, $5)
        on conflict (name) do nothing`,
      values: [name, kind, hostNames, databaseUrl, await nextGeneration(database)],
    })
  }

  async #site(db: Queryable, name: string, mode: 'lock' | 'read'): Promise<SiteRow> {
    const site = await siteByName(db, name, mode)
    if (site === undefined) throw new CloudError('site.center.unknown-site', `no site '${name}'`, { field: 'site' })
    return site
  }

  async #view(site: SiteRow): Promise<Site> {
    const [view] = await this.#views([site])
    if (view === undefined) throw new Error('a site has a view')
    return view
  }

  async #views(sites: readonly SiteRow[]): Promise<Site[]> {
    const { database } = this.deps
    const [hosts, cloudware, packages] = await Promise.all([reports(database), cloudwareRows(database), this.#packages()])
    const wanted = await database.query<{ site: string; digest: string }>({
      text: 'select v.site, v.digest from site_version v join site s on s.name = v.site and s.version = v.version',
    })
    const digests = new Map(wanted.map(row => [row.site, row.digest]))
    return sites.map(site => {
      const stored = packages.get(digests.get(site.name) ?? '')
      return siteView({
        site,
        reports: hosts,
        cloudware: cloudware.filter(row => row.site === site.name),
        packages,
        ...(stored === undefined ? {} : { package: stored }),
      })
    })
  }

  async #packages(): Promise<ReadonlyMap<string, PackageRow>> {
    return new Map((await allPackages(this.deps.database)).map(row => [row.digest, row]))
  }

  #host(): Client<typeof hostAgentContract> {
    const host = this.deps.host()
    if (host === undefined) throw new CloudError('site.center.host-unavailable', 'no host agent is connected')
    return host
  }

  async #audit(context: CallContext, action: string, site: string, detail: string): Promise<void> {
    await writeAudit(this.deps.database, { actor: actorOf(context), action, site, detail })
  }
}

function actorOf(context: CallContext): string {
  return context.actor?.id ?? 'platform'
}

function unknownVersion(site: string, version: number | undefined): CloudError {
  const text = version === undefined ? `${site} has no version yet` : `${site} has no version ${version}`
  return new CloudError('site.center.unknown-version', text, { field: 'version' })
}
