import type { Handlers } from '@aaas/core-cloud/contract'
import type { controlPlaneContract, DesiredState } from '@aaas/core-cloud/deploy'
import type { Database } from '@aaas/support-cloud/rdbms'
import { desiredState } from './desired.js'
import type { PackageStore } from './package-store.js'
import type { SiteCenter } from './site-center.js'
import { packageByDigest, saveReport } from './site-store.js'

const chunkBytes = 512 * 1024

export interface ControlPlaneDeps {
  readonly database: Database
  readonly packages: PackageStore
  readonly center: SiteCenter
  /** Public keys by publisher whose packages hosts accept. */
  readonly trust: Readonly<Record<string, string>>
  /** Where the database server is now; stored connection strings may name an earlier place of it. */
  readonly adminUrl: string
}

/** What host agents call. They dial in; control never dials out to them. */
export class ControlPlane implements Handlers<typeof controlPlaneContract> {
  /** The package a host is fetching now, so that its chunks do not read the file again and again. */
  #recent: { digest: string; bytes: Uint8Array } | undefined

  constructor(readonly deps: ControlPlaneDeps) {}

  async desiredState(input: {
    hostId: string
    knownGeneration?: number
  }): Promise<{ changed: false } | { changed: true; state: DesiredState }> {
    const rows = await this.deps.database.query<{ generation: number }>({
      text: 'select coalesce(max(generation), 0) as generation from site',
    })
    if (input.knownGeneration !== undefined && rows[0]?.generation === input.knownGeneration) return { changed: false }
    return { changed: true, state: await desiredState(this.deps) }
  }

  async report(input: Parameters<Handlers<typeof controlPlaneContract>['report']>[0]): Promise<Record<string, never>> {
    await saveReport(this.deps.database, input as Parameters<typeof saveReport>[1])
    await this.deps.center.applyReport(input.sites)
    return {}
  }

  async packageChunk(input: {
    digest: string
    offset: number
  }): Promise<{ base64: string; total: number; signature: unknown }> {
    if (this.#recent?.digest !== input.digest) {
      this.#recent = { digest: input.digest, bytes: await this.deps.packages.get(input.digest) }
    }
    const { bytes } = this.#recent
    const row = await packageByDigest(this.deps.database, input.digest)
    const end = Math.min(bytes.length, input.offset + chunkBytes)
    if (end === bytes.length) this.#recent = undefined
    return {
      base64: Buffer.from(bytes.subarray(input.offset, end)).toString('base64'),
      total: bytes.length,
      signature: row?.signature ?? null,
    }
  }

  async readings(
    input: Parameters<Handlers<typeof controlPlaneContract>['readings']>[0],
  ): Promise<Record<string, never>> {
    await this.deps.database.query({
      text: `insert into usage_reading(source, site, epoch, seq, at, counters)
        select source, site, epoch, seq, to_timestamp(at / 1000.0), counters
        from jsonb_to_recordset($1) as r(source text, site text, epoch text, seq bigint, at bigint, counters jsonb)
        on conflict do nothing`,
      values: [JSON.stringify(input.readings)],
    })
    return {}
  }
}
