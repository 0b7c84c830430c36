import { readArchive } from './archive.js'
import type { PackageJson, PackageRef } from './manifest.js'

/** What a person wants to know of a package before trusting it. */
export interface PackageInspection {
  readonly ref: PackageRef
  readonly packageJson: PackageJson
  readonly packedBytes: number
  readonly unpackedBytes: number
  readonly files: readonly { readonly path: string; readonly bytes: number }[]
}

/**
 * Lists a tarball without writing or running anything of it. Says nothing about who made it: see `verifyPackage`.
 * @throws CloudError `core.cloudware.invalid-package` or `core.cloudware.invalid-manifest`.
 */
export function inspectPackage(tarball: Uint8Array): PackageInspection {
  const { ref, packageJson, files } = readArchive(tarball)
  return {
    ref,
    packageJson,
    packedBytes: tarball.byteLength,
    unpackedBytes: files.reduce((sum, file) => sum + file.content.byteLength, 0),
    files: files.map(file => ({ path: file.path, bytes: file.content.byteLength })),
  }
}
