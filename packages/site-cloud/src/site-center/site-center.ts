import { checkPackageConfig, type PackageJson, type PackageRef } from '@aaas/core-cloud/cloudware'
import type { Client, Handlers } from '@aaas/core-cloud/contract'
import type { hostAgentContract } from '@aaas/core-cloud/deploy'
import { type Actor, type CallContext, CloudError } from '@aaas/core-cloud/kernel'
import type { Database, Queryable } from '@aaas/support-cloud/rdbms'
import { satisfies } from 'semver'
import type { CapacityPlan } from '../template/index.js'
import { openSite } from './open-site.js'
import type { PackageStore } from './package-store.js'
import { similarName } from './similar-name.js'
import type { Site, SiteVersion, StoredPackage, siteCenterContract } from './site-center-contract.js'
import { lockSite } from './site-lock.js'
import { describeCall, isReading, readingScopes, siteScopes } from './site-scopes.js'
import {
  allPackages,
  allSites,
  hasConfig,
  insertPackage,
  newestAudit,
  nextGeneration,
  type PackageRow,
  packageByDigest,
  packagesByDigest,
  type SiteRow,
  siteByName,
  usageOf,
  versionOf,
  versionsOf,
  writeAudit,
} from './site-store.js'
import { siteVersion, storedPackage } from './site-view.js'
import { siteViews } from './site-views.js'
import { earlierVersion, wantVersion } from './want-version.js'

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
  /** Version of the platform, which each package's `engine` range must take. */
  readonly engine: string
  /** Checks signature and content of uploaded bytes. */
  readonly verify: (
    tarball: Uint8Array,
    signature: unknown,
  ) => { ref: PackageRef; packageJson: PackageJson; publisher: string }
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
      throw new CloudError('site.center.conflict', `${stored.name} is cloudware; add it to a site instead`, {
        field: 'digest',
      })
    }
    const facts = await this.deps.inspect(await this.deps.packages.get(stored.digest))
    this.#checkEngine(stored)
    const hostNames = this.#hostNames(input.site, facts.hostNames)
    await openSite({ database, name: input.site, kind: stored.kind, hostNames, provision: this.deps.provision })
    const row = await database.transaction(async tx => {
      await this.#site(tx, input.site, 'lock')
      const newest = (await versionsOf(tx, input.site))[0]
      const config = JSON.stringify(input.config ?? {})
      if (newest?.digest === stored.digest && (await hasConfig(tx, newest, config))) return newest
      const version = (newest?.version ?? 0) + 1
      await tx.query({
        text: `insert into site_version(site, version, digest, config, plan, host_names, pushed_by)
          values ($1, $2, $3, $4, $5, $6, $7)`,
        values: [
          input.site,
          version,
          stored.digest,
          config,
          JSON.stringify(facts.plan ?? null),
          JSON.stringify(hostNames),
          actorOf(context),
        ],
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
    return { sites: await siteViews(this.deps.database, await allSites(this.deps.database)) }
  }

  async getSite(input: In<'getSite'>): Promise<Site> {
    return this.#view(await this.#site(this.deps.database, input.site, 'read'))
  }

  async listVersions(input: In<'listVersions'>): Promise<{ versions: SiteVersion[] }> {
    await this.#site(this.deps.database, input.site, 'read')
    const versions = await versionsOf(this.deps.database, input.site)
    const packages = await packagesByDigest(
      this.deps.database,
      versions.map(row => row.digest),
    )
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
        input.version === undefined
          ? (await versionsOf(tx, site.name))[0]
          : await versionOf(tx, site.name, input.version)
      if (row === undefined) throw unknownVersion(site.name, input.version)
      await wantVersion(tx, { site, row, engine: this.deps.engine })
      return `version ${row.version}`
    })
  }

  async rollback(input: In<'rollback'>, context: CallContext): Promise<Site> {
    return this.#change(input.site, context, 'site.rollback', async (tx, site) => {
      const target = input.version ?? (await earlierVersion(tx, site))
      const row = await versionOf(tx, site.name, target)
      if (row === undefined) throw unknownVersion(site.name, target)
      await wantVersion(tx, { site, row, engine: this.deps.engine })
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
      if (stored === undefined) {
        throw new CloudError('site.center.unknown-version', 'no such package; upload it first', { field: 'digest' })
      }
      if (stored.kind !== 'cloudware' || site.kind !== 'site') {
        const [wrong, what] = stored.kind === 'cloudware' ? [site.name, site.kind] : [stored.name, stored.kind]
        throw new CloudError(
          'site.center.conflict',
          `${wrong} is a ${what}; only cloudware is added, and only to sites`,
          { field: 'digest' },
        )
      }
      const config = checkPackageConfig(stored.packageJson, input.config)
      await tx.query({
        text: `insert into site_cloudware(site, name, digest, config) values ($1, $2, $3, $4)
          on conflict (site, name) do update set digest = excluded.digest, config = excluded.config, added_at = now()`,
        values: [site.name, stored.name, stored.digest, JSON.stringify(config)],
      })
      await lockSite(tx, { site, engine: this.deps.engine, version: site.version })
      return `${stored.name}@${stored.version}`
    })
  }

  async removeCloudware(input: In<'removeCloudware'>, context: CallContext): Promise<Site> {
    return this.#change(input.site, context, 'cloudware.remove', async (tx, site) => {
      const gone = await tx.query({
        text: 'delete from site_cloudware where site = $1 and name = $2 returning name',
        values: [site.name, input.name],
      })
      if (gone.length === 0) {
        throw new CloudError('site.center.unknown-cloudware', `${site.name} has no cloudware '${input.name}'`, {
          field: 'name',
        })
      }
      await lockSite(tx, { site, engine: this.deps.engine, version: site.version })
      return input.name
    })
  }

  async logs(input: In<'logs'>, context: CallContext): Promise<Awaited<ReturnType<Service['logs']>>> {
    await this.#site(this.deps.database, input.site, 'read')
    const page = await this.#host().logs(
      { ...input, limit: input.limit ?? 200 },
      { signal: context.signal, deadline: context.deadline },
    )
    return { records: page.records.map(record => ({ ...record, site: input.site })) as LogRecords }
  }

  async metrics(input: In<'metrics'>, context: CallContext): Promise<unknown> {
    return this.#host().metrics({ ...input }, { signal: context.signal, deadline: context.deadline })
  }

  async querySite(input: In<'querySite'>, context: CallContext): Promise<{ output: unknown }> {
    const scopes = readingScopes(input.contract, input.method)
    return this.#forward(input, { id: actorOf(context), scopes }, context)
  }

  async callSite(input: In<'callSite'>, context: CallContext): Promise<{ output: unknown }> {
    const answer = await this.#forward(input, { id: actorOf(context), scopes: siteScopes(context.actor) }, context)
    if (!isReading(input.contract, input.method))
      await this.#audit(context, 'site.call', input.site, describeCall(input))
    return answer
  }

  async #forward(input: In<'callSite'>, actor: Actor, context: CallContext): Promise<{ output: unknown }> {
    const site = await this.#site(this.deps.database, input.site, 'read')
    const { output } = await this.#host().callSite(
      {
        site: site.name,
        kind: site.kind,
        contract: input.contract,
        method: input.method,
        input: input.input,
        actor,
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
    return { entries: [...(await newestAudit(this.deps.database, input.limit ?? 100, input.site ?? ''))] }
  }

  /** Marks versions whose roll-out the host gave up, so that people see why. */
  async applyReport(
    sites: readonly {
      readonly site: string
      readonly observedGeneration: number
      readonly failure?: { readonly version: number; readonly step: string; readonly reason: string }
    }[],
  ): Promise<void> {
    for (const { site, failure, observedGeneration } of sites) {
      if (failure === undefined) continue
      await this.deps.database.query({
        // A report of before the newest wish says nothing about it: the version may be being tried again.
        text: `update site_version v set state = 'failed', failure = $3 from site s
          where s.name = v.site and s.generation <= $4 and v.site = $1 and v.version = $2
          and (v.state <> 'failed' or v.failure is distinct from $3)`,
        values: [site, failure.version, `${failure.step}: ${failure.reason}`.slice(0, 2000), observedGeneration],
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

  /** Refused when it is pushed, so that nobody finds out at the deployment. */
  #checkEngine({ name, packageJson: { aaas } }: PackageRow): void {
    if (satisfies(this.deps.engine, aaas.engine, { includePrerelease: true })) return
    throw new CloudError(
      'core.cloudware.missing-requirement',
      `${name} needs platform ${aaas.engine}, this is ${this.deps.engine}`,
      {
        field: 'aaas/engine',
      },
    )
  }

  #hostNames(site: string, more: readonly string[]): readonly string[] {
    return [...new Set([`${site}.${this.deps.domain}`, ...more])]
  }

  async #site(db: Queryable, name: string, mode: 'lock' | 'read'): Promise<SiteRow> {
    const site = await siteByName(db, name, mode)
    if (site !== undefined) return site
    const near = similarName(
      name,
      (await allSites(db)).map(one => one.name),
    )
    const hint = near === undefined ? '' : `; did you mean '${near}'?`
    throw new CloudError('site.center.unknown-site', `no site '${name}'${hint}`, { field: 'site' })
  }

  async #view(site: SiteRow): Promise<Site> {
    const [view] = await siteViews(this.deps.database, [site])
    if (view === undefined) throw new Error('a site has a view')
    return view
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
