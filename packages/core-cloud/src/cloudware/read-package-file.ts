import { readArchive } from './archive.js'

/**
 * Reads one file of a tarball without unpacking it.
 * @param options.name - path inside the package, such as `site.json`.
 * @returns undefined when the package has no such file.
 * @throws CloudError `core.cloudware.invalid-package`.
 */
export function readPackageFile(options: {
  readonly tarball: Uint8Array
  readonly name: string
}): Uint8Array | undefined {
  return readArchive(options.tarball).files.find(file => file.path === options.name)?.content
}
