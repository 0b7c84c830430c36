import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CloudError } from '@aaas/core-cloud/kernel'

/** Keeps package bytes by digest. */
export interface PackageStore {
  /** Stores bytes under their digest; storing the same twice is harmless. */
  put(digest: string, bytes: Uint8Array): Promise<void>
  /** @throws CloudError `site.center.unknown-version` when the digest is not stored. */
  get(digest: string): Promise<Uint8Array>
}

/** Files `<digest>.tgz` in a folder, written beside and renamed so that no reader sees half a file. */
export async function filePackageStore(dir: string): Promise<PackageStore> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const path = (digest: string): string => {
    if (!/^[0-9a-f]{128}$/.test(digest))
      throw new CloudError('site.center.unknown-version', `'${digest}' is not a digest`, { field: 'digest' })
    return join(dir, `${digest}.tgz`)
  }
  return {
    async put(digest, bytes) {
      const part = `${path(digest)}.part`
      await writeFile(part, bytes, { mode: 0o600, flush: true })
      await rename(part, path(digest))
    },
    async get(digest) {
      return readFile(path(digest)).catch(cause => {
        throw new CloudError('site.center.unknown-version', `package ${digest.slice(0, 12)} is not stored`, { cause })
      })
    },
  }
}
