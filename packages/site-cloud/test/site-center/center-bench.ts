import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PackageJson } from '@aaas/core-cloud/cloudware'
import type { Client } from '@aaas/core-cloud/contract'
import type { hostAgentContract } from '@aaas/core-cloud/deploy'
import type { CallContext } from '@aaas/core-cloud/kernel'
import { migrate, pgDatabase } from '@aaas/support-cloud/rdbms'
import { openTestDatabase } from '@aaas/testing'
import { controlMigrations } from '../../src/site-center/control-migrations.js'
import { ControlPlane } from '../../src/site-center/control-plane.js'
import { filePackageStore } from '../../src/site-center/package-store.js'
import { type PackageFacts, SiteCenter } from '../../src/site-center/site-center.js'
import type { CapacityPlan } from '../../src/template/index.js'

export const context: CallContext = {
  traceId: 't',
  actor: { id: 'tester', scopes: ['*'] },
  deadline: Number.MAX_SAFE_INTEGER,
  signal: new AbortController().signal,
}
const plan = {
  performance: { ordersPerMinute: 60, p99Ms: 500 },
  instances: 2,
  concurrency: 256,
  databaseConnections: 4,
  memoryMb: 320,
} as CapacityPlan

/** A site centre on a real database; signatures are the cloudware system's tests' business, bytes stand for packages here. */
export async function open() {
  const database = await openTestDatabase()
  const db = pgDatabase({ url: database.url, maxConnections: 4 })
  await migrate(db, [controlMigrations])
  const dir = await mkdtemp(join(tmpdir(), 'aaas-t-'))
  const hints: string[] = []
  const forwarded: unknown[] = []
  const provisioned: string[] = []
  let host: Client<typeof hostAgentContract> | undefined
  let hostNames: readonly string[] = []
  const packages = await filePackageStore(dir)
  const center = new SiteCenter({
    database: db,
    packages,
    engine: '0.1.0',
    verify: tarball => {
      const packageJson = JSON.parse(Buffer.from(tarball).toString('utf8')) as PackageJson
      const digest = Buffer.from(`${packageJson.name}@${packageJson.version}`)
        .toString('hex')
        .padEnd(128, '0')
        .slice(0, 128)
      return { ref: { name: packageJson.name, version: packageJson.version, digest }, packageJson, publisher: 'local' }
    },
    inspect: async (): Promise<PackageFacts> => ({ plan, hostNames }),
    provision: async (site, kind) => {
      provisioned.push(site)
      return `postgres://${kind}_${site}:secret@localhost/${site}?host=/somewhere/else`
    },
    changed: () => hints.push('changed'),
    host: () => host,
    domain: 'localhost',
  })
  const plane = new ControlPlane({
    database: db,
    packages,
    center,
    trust: { local: 'pem' },
    adminUrl: 'postgres://admin@localhost/postgres?host=/here',
  })
  const upload = async (packageJson: object): Promise<string> =>
    (
      await center.uploadPackage(
        { base64: Buffer.from(JSON.stringify(packageJson)).toString('base64'), signature: {} },
        context,
      )
    ).digest
  const desired = async () => {
    const answer = await plane.desiredState({ hostId: 'host-1' })
    if (!answer.changed) throw new Error('the first look is always a change')
    return answer.state
  }
  return {
    center,
    plane,
    upload,
    desired,
    hints,
    db,
    forwarded,
    provisioned,
    /** Connects a host that remembers what is forwarded to it. */
    connectHost(): void {
      host = {
        callSite: async (input: unknown) => {
          forwarded.push(input)
          return { output: { ok: true } }
        },
      } as unknown as Client<typeof hostAgentContract>
    },
    /** Host names that the next packages ask for. */
    askHostNames(names: readonly string[]): void {
      hostNames = names
    },
    async [Symbol.asyncDispose]() {
      await db[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

export const sitePackage = (version: string, points = ['order.place@1']) => ({
  name: 'site-shop',
  version,
  aaas: {
    kind: 'site',
    engine: '^0.1.0',
    entry: 'program.js',
    extensionPoints: points,
    template: { name: 'shop', version },
  },
})

export const extension = (name: string, hook: string, more: object = {}) => ({
  name,
  version: '1.0.0',
  aaas: {
    kind: 'cloudware',
    engine: '^0.1.0',
    entry: 'index.js',
    hooks: [{ hook, kind: 'validate', failure: 'open', deadlineMs: 200, order: 0 }],
    ...more,
  },
})
