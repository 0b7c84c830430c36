import type { Dirent } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { Header, Pax } from 'tar'
import { CloudError } from '../kernel/errors.js'
import { type ArchiveFile, archiveLimits, checkPathSize, invalidPackage, readArchive } from './archive.js'
import { type FileRules, fileRules } from './file-rules.js'
import type { PackageJson, PackageRef } from './manifest.js'
import { parsePackageJson } from './package-json.js'

export interface BuiltPackage {
  readonly ref: PackageRef
  readonly packageJson: PackageJson
  readonly tarball: Uint8Array
}

/** 26 October 1985, the time that npm gives every file: a constant keeps the bytes equal, and tools show a date. */
const fixedTime = new Date(499_162_500_000)

/**
 * Packs a folder as npm would (`package/...`), with bytes that depend on names and content alone: sorted, fixed times,
 * modes and owners. The same content packed by the same version of Node has the same digest.
 * Takes what `files` of package.json names, or everything; never `node_modules`, `.git`, `.env*`, `.npmrc`,
 * nor `*.tgz` and `*.sig.json` of the root.
 * Runs no script.
 * @throws CloudError `core.cloudware.invalid-manifest` with the field, `core.cloudware.invalid-package` for links and sizes.
 */
export async function buildPackage({ dir }: { readonly dir: string }): Promise<BuiltPackage> {
  const json = await readPackageJson(dir)
  parsePackageJson(json)
  const paths: string[] = []
  await walk(dir, '', fileRules((json as { files?: unknown }).files), paths)
  const files = await readFiles(dir, paths.sort())
  const tarball = await pack(files)
  // Reading it back applies the rules of the receiving side here, where the author can mend what is wrong.
  const { ref, packageJson } = readArchive(tarball)
  return { ref, packageJson, tarball }
}

async function readPackageJson(dir: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(join(dir, 'package.json'), 'utf8')
  } catch (cause) {
    throw new CloudError('core.cloudware.invalid-manifest', `${dir} has no package.json that can be read`, { cause })
  }
  try {
    return JSON.parse(text)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new CloudError('core.cloudware.invalid-manifest', `${join(dir, 'package.json')} is not JSON: ${reason}`, {
      cause,
    })
  }
}

async function walk(dir: string, prefix: string, rules: FileRules, paths: string[]): Promise<void> {
  const entries: Dirent[] = await readdir(join(dir, prefix), { withFileTypes: true })
  for (const entry of entries) {
    const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`
    if (rules.never(path)) continue
    checkPathSize(path)
    if (entry.isDirectory()) {
      await walk(dir, path, rules, paths)
    } else if (rules.takes(path)) {
      if (!entry.isFile()) throw invalidPackage(`${path} is a link or a device; a package holds plain files only`)
      paths.push(path)
      if (paths.length > archiveLimits.files)
        throw invalidPackage(`the folder has more than ${archiveLimits.files} files`)
    }
  }
}

async function readFiles(dir: string, paths: readonly string[]): Promise<ArchiveFile[]> {
  const files: ArchiveFile[] = []
  let total = 0
  for (const path of paths) {
    const { size, mode } = await stat(join(dir, path))
    total += size
    if (total > archiveLimits.unpackedBytes)
      throw invalidPackage(`the files have more than ${archiveLimits.unpackedBytes} bytes`)
    files.push({ path, content: await readFile(join(dir, path)), executable: (mode & 0o100) !== 0 })
  }
  return files
}

/** Writes a deterministic npm tarball. Files must be sorted by path. */
export async function pack(files: readonly ArchiveFile[]): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for (const { path, content, executable } of files) {
    const fields = {
      path: `package/${path}`,
      mode: executable ? 0o755 : 0o644,
      uid: 0,
      gid: 0,
      size: content.byteLength,
      mtime: fixedTime,
      type: 'File',
    } as const
    const header = new Header(fields)
    const block = Buffer.alloc(512)
    if (header.encode(block)) parts.push(new Pax({ path: fields.path }).encode())
    parts.push(block, content, Buffer.alloc((512 - (content.byteLength % 512)) % 512))
  }
  parts.push(Buffer.alloc(1024))
  const zipped = await promisify(gzip)(Buffer.concat(parts), { level: 9 })
  // Byte 9 names the operating system that compressed; 255 is "unknown" (RFC 1952).
  zipped[9] = 255
  return zipped
}
