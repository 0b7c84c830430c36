import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parsePackageJson } from '@aaas/core-cloud/cloudware'
import type { PackageJson, PackageRef } from '../cloudware/manifest.js'
import { CloudError } from '../kernel/errors.js'

/** Where tarballs come from: `packageChunk` of the control plane. */
type ReadChunk = (input: {
  readonly digest: string
  readonly offset: number
}) => Promise<{ readonly base64: string; readonly total: number; readonly signature?: unknown }>

export interface PackageCacheOptions {
  /** Folder of the unpacked packages; each is in a folder named by its digest. */
  readonly dir: string
  readonly readChunk: ReadChunk
  /** Throws for a changed or untrusted package. */
  readonly verify: (tarball: Uint8Array, signature: unknown) => { readonly ref: PackageRef }
  /** Unpacks all or nothing. */
  readonly unpack: (tarball: Uint8Array, dir: string) => Promise<unknown>
  /** Bytes of a tarball at most; default 64 MiB. */
  readonly maxBytes?: number
}

/** Unpacked packages on this host's disk. Nothing gets there unverified. */
export interface PackageCache {
  /**
   * Makes sure that a package is unpacked; parallel calls for one package fetch it once.
   * @throws CloudError of the transfer, `core.cloudware.bad-signature`, `core.cloudware.invalid-package`.
   */
  fetch(ref: PackageRef): Promise<void>
  /** A package that was fetched. @throws a plain Error for another one: the planner asks for fetched ones only. */
  get(digest: string): { readonly dir: string; readonly packageJson: PackageJson }
  /** Removes the packages that are not named from memory and disk. */
  prune(keep: ReadonlySet<string>): Promise<void>
}

const digestPattern = /^[0-9a-f]{128}$/

export function createPackageCache(options: PackageCacheOptions): PackageCache {
  const { dir, maxBytes = 64 * 1024 * 1024 } = options
  const loaded = new Map<string, PackageJson>()
  const running = new Map<string, Promise<void>>()

  const load = async (ref: PackageRef): Promise<void> => {
    const target = join(dir, ref.digest)
    // A damaged folder (a disk that lost power) is fetched and written anew.
    const found = await readPackageJson(target).catch(() => undefined)
    if (found !== undefined) {
      loaded.set(ref.digest, found)
      return
    }
    const { tarball, signature } = await download(options.readChunk, ref.digest, maxBytes)
    const { ref: actual } = options.verify(tarball, signature)
    if (actual.digest !== ref.digest || actual.name !== ref.name || actual.version !== ref.version) {
      throw new CloudError(
        'core.cloudware.bad-signature',
        `asked for ${ref.name}@${ref.version}, got ${actual.name}@${actual.version}`,
      )
    }
    await mkdir(dir, { recursive: true, mode: 0o700 })
    await options.unpack(tarball, target)
    const packageJson = await readPackageJson(target)
    if (packageJson === undefined)
      throw new CloudError('core.cloudware.invalid-package', `${ref.name} has no package.json`)
    loaded.set(ref.digest, packageJson)
  }

  return {
    async fetch(ref) {
      if (!digestPattern.test(ref.digest))
        throw new CloudError('core.cloudware.invalid-package', 'not a digest', { field: 'digest' })
      if (loaded.has(ref.digest)) return
      const fetching = running.get(ref.digest) ?? load(ref).finally(() => running.delete(ref.digest))
      running.set(ref.digest, fetching)
      await fetching
    },
    get(digest) {
      const packageJson = loaded.get(digest)
      if (packageJson === undefined) throw new Error(`package ${digest.slice(0, 12)} was not fetched`)
      return { dir: join(dir, digest), packageJson }
    },
    async prune(keep) {
      const names = await readdir(dir).catch(() => [])
      for (const name of names) {
        if (!digestPattern.test(name) || keep.has(name) || running.has(name)) continue
        loaded.delete(name)
        await rm(join(dir, name), { recursive: true, force: true })
      }
    },
  }
}

async function download(
  readChunk: ReadChunk,
  digest: string,
  maxBytes: number,
): Promise<{ tarball: Uint8Array; signature: unknown }> {
  const first = await readChunk({ digest, offset: 0 })
  if (first.total > maxBytes) {
    throw new CloudError(
      'core.cloudware.invalid-package',
      `a package of ${first.total} bytes; ${maxBytes} are possible`,
    )
  }
  const chunks: Uint8Array[] = []
  let offset = 0
  let chunk = first
  for (;;) {
    const bytes = Buffer.from(chunk.base64, 'base64')
    chunks.push(bytes)
    offset += bytes.length
    if (offset >= first.total) break
    if (bytes.length === 0)
      throw new CloudError('core.contract.invalid-output', 'the package store sent an empty chunk', { retryable: true })
    chunk = await readChunk({ digest, offset })
  }
  return { tarball: Buffer.concat(chunks), signature: first.signature }
}

/**
 * @returns undefined when there is no folder: it is written as a whole or not at all.
 * @throws CloudError `core.cloudware.invalid-manifest`.
 */
async function readPackageJson(dir: string): Promise<PackageJson | undefined> {
  const text = await readFile(join(dir, 'package.json'), 'utf8').catch(() => undefined)
  return text === undefined ? undefined : parsePackageJson(JSON.parse(text))
}
