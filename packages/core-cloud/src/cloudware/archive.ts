import { createHash } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import { Parser, type ReadEntry } from 'tar'
import { CloudError } from '../kernel/errors.js'
import type { PackageJson, PackageRef } from './manifest.js'
import { parsePackageJsonText } from './package-json.js'

/** What a package may be at most. */
export const archiveLimits = {
  /** Bytes of the tarball as it travels. */
  packedBytes: 32 * 1024 * 1024,
  /** Bytes of all files together. */
  unpackedBytes: 64 * 1024 * 1024,
  files: 5_000,
  /** Bytes of one path below `package/`, UTF-8. */
  pathBytes: 250,
  /** Folders in one path. */
  pathDepth: 20,
} as const

/** One file of a package. `path` is relative to the package's root, with `/` between its parts. */
export interface ArchiveFile {
  readonly path: string
  readonly content: Uint8Array
  readonly executable: boolean
}

/** A package in memory. Files are sorted by path. */
export interface Archive {
  readonly ref: PackageRef
  readonly packageJson: PackageJson
  readonly files: readonly ArchiveFile[]
}

/** SHA-512, lower-case hex. */
export function sha512(data: Uint8Array | string): string {
  return createHash('sha512').update(data).digest('hex')
}

export function invalidPackage(message: string, cause?: unknown): CloudError {
  return new CloudError('core.cloudware.invalid-package', message, cause === undefined ? {} : { cause })
}

/**
 * Reads a whole tarball in memory. Only plain files and folders below `package/` are allowed: no links, no devices, no
 * absolute path, no `..`, no two files of one name. Nothing is written.
 * @throws CloudError `core.cloudware.invalid-package` or `core.cloudware.invalid-manifest`.
 */
export function readArchive(tarball: Uint8Array): Archive {
  if (tarball.byteLength > archiveLimits.packedBytes) {
    throw invalidPackage(`the archive has ${tarball.byteLength} bytes, more than ${archiveLimits.packedBytes}`)
  }
  const files = readEntries(unzip(tarball))
  const manifest = files.find(file => file.path === 'package.json')
  if (manifest === undefined) throw invalidPackage('the archive has no package/package.json')
  const packageJson = parsePackageJsonText(new TextDecoder().decode(manifest.content))
  const { entry } = packageJson.aaas
  if (!files.some(file => file.path === normalEntry(entry))) {
    throw new CloudError(
      'core.cloudware.invalid-manifest',
      `package.json: aaas/entry names ${entry}, which is not in the package`,
      {
        field: 'aaas/entry',
      },
    )
  }
  return { ref: { name: packageJson.name, version: packageJson.version, digest: sha512(tarball) }, packageJson, files }
}

/** The entry as a path of the archive: without a leading `./`. */
function normalEntry(entry: string): string {
  return entry
    .split('/')
    .filter(part => part !== '.' && part !== '')
    .join('/')
}

function unzip(tarball: Uint8Array): Buffer {
  // 1 KiB a file: its header, its padding and a long name.
  const maxOutputLength = archiveLimits.unpackedBytes + archiveLimits.files * 2_048
  try {
    return gunzipSync(tarball, { maxOutputLength })
  } catch (cause) {
    const tooLarge = (cause as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE'
    throw invalidPackage(
      tooLarge ? `the archive unpacks to more than ${maxOutputLength} bytes` : 'the archive is not gzip',
      cause,
    )
  }
}

function readEntries(tar: Buffer): ArchiveFile[] {
  const files = new Map<string, ArchiveFile>()
  const folders = new Set<string>()
  let failure: unknown
  let total = 0
  let count = 0
  const parser = new Parser({
    strict: true,
    maxMetaEntrySize: 4_096,
    onReadEntry: entry => {
      try {
        if (failure !== undefined) return
        count += 1
        if (count > archiveLimits.files * 2)
          throw invalidPackage(`the archive has more than ${archiveLimits.files * 2} entries`)
        total += entry.size
        if (total > archiveLimits.unpackedBytes)
          throw invalidPackage(`the files have more than ${archiveLimits.unpackedBytes} bytes`)
        takeEntry(entry, files, folders)
        if (files.size > archiveLimits.files)
          throw invalidPackage(`the archive has more than ${archiveLimits.files} files`)
      } catch (error) {
        failure = error
      } finally {
        entry.resume()
      }
    },
  })
  parser.on('error', error => {
    failure ??= invalidPackage(
      `the archive is damaged: ${error instanceof Error ? error.message : String(error)}`,
      error,
    )
  })
  // The parser is synchronous for plain tar bytes: when `end` returns, every entry was seen.
  parser.end(tar)
  if (failure !== undefined) throw failure
  for (const path of files.keys()) {
    if (folders.has(path)) throw invalidPackage(`${path} is both a file and a folder`)
  }
  return [...files.values()].sort((a, b) => (a.path < b.path ? -1 : 1))
}

function takeEntry(entry: ReadEntry, files: Map<string, ArchiveFile>, folders: Set<string>): void {
  if (entry.type !== 'File' && entry.type !== 'OldFile' && entry.type !== 'Directory') {
    throw invalidPackage(`${shown(entry.path)} is a ${entry.type}; only files and folders are allowed`)
  }
  const path = checkPath(entry.path)
  for (let cut = path.indexOf('/'); cut !== -1; cut = path.indexOf('/', cut + 1)) folders.add(path.slice(0, cut))
  if (entry.type === 'Directory') {
    if (path !== '') folders.add(path)
    return
  }
  if (path === '' || entry.path.endsWith('/')) throw invalidPackage(`${shown(entry.path)} is not a name for a file`)
  if (files.has(path)) throw invalidPackage(`${path} is in the archive twice`)
  const chunks: Buffer[] = []
  const file = { path, content: new Uint8Array(0), executable: ((entry.mode ?? 0) & 0o111) !== 0 }
  entry.on('data', (chunk: Buffer) => chunks.push(chunk))
  entry.on('end', () => {
    file.content = Buffer.concat(chunks)
  })
  files.set(path, file)
}

/** @returns the path below `package/`; empty for that folder itself. */
function checkPath(raw: string): string {
  // A backslash or a colon is a separator or a drive elsewhere; control characters lie in listings.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused here
  if (/[\\:\u0000-\u001f\u007f]/.test(raw)) throw invalidPackage(`${shown(raw)} has a character that is not allowed`)
  if (raw.startsWith('/')) throw invalidPackage(`${shown(raw)} is an absolute path`)
  const parts = raw.replace(/\/$/, '').split('/')
  if (parts.includes('..')) throw invalidPackage(`${shown(raw)} leads out of the package`)
  if (parts[0] !== 'package') throw invalidPackage(`${shown(raw)} is not below package/`)
  if (parts.some(part => part === '' || part === '.')) throw invalidPackage(`${shown(raw)} is not a plain path`)
  const path = parts.slice(1).join('/')
  checkPathSize(path)
  return path
}

/** @throws CloudError `core.cloudware.invalid-package` when a path is longer or deeper than allowed. */
export function checkPathSize(path: string): void {
  if (Buffer.byteLength(path) > archiveLimits.pathBytes)
    throw invalidPackage(`${shown(path)} is longer than ${archiveLimits.pathBytes} bytes`)
  if (path.split('/').length > archiveLimits.pathDepth)
    throw invalidPackage(`${shown(path)} is deeper than ${archiveLimits.pathDepth} folders`)
}

/** A name from outside, made safe for a message. */
function shown(path: string): string {
  return JSON.stringify(path.length > 120 ? `${path.slice(0, 120)}...` : path)
}
