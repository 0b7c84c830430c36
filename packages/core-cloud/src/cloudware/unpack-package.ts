import { mkdir, mkdtemp, open, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type ArchiveFile, readArchive } from './archive.js'
import type { PackageJson, PackageRef } from './manifest.js'

/**
 * Writes the files of a package into `dir`, all or nothing: they are written and synced beside it and renamed into place,
 * so a crash leaves either no `dir` or a whole one. When `dir` already holds them it is left alone; when a file in it
 * differs (a disk that lost power, a person who edited) the folder is replaced. Runs no script.
 * Verify the signature before: this checks the archive's form, not its origin.
 * @throws CloudError `core.cloudware.invalid-package` or `core.cloudware.invalid-manifest`; then nothing was written.
 */
export async function unpackPackage(options: {
  readonly tarball: Uint8Array
  readonly dir: string
}): Promise<{ readonly ref: PackageRef; readonly packageJson: PackageJson }> {
  const { ref, packageJson, files } = readArchive(options.tarball)
  const { dir } = options
  if (!(await holds(dir, files))) {
    const parent = dirname(dir)
    await mkdir(parent, { recursive: true })
    // Removed below in every case; after a crash it stays as `.name-XXXXXX`, which nothing reads.
    const work = await mkdtemp(join(parent, `.${basename(dir)}-`))
    try {
      const fresh = join(work, 'new')
      await writeFiles(fresh, files)
      await putInPlace(fresh, dir, join(work, 'old'), files)
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  }
  return { ref, packageJson }
}

async function writeFiles(root: string, files: readonly ArchiveFile[]): Promise<void> {
  for (const { path, content, executable } of files) {
    const target = join(root, path)
    await mkdir(dirname(target), { recursive: true })
    // 'wx' never follows a link and never overwrites.
    const file = await open(target, 'wx', executable ? 0o755 : 0o644)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
  }
}

async function putInPlace(fresh: string, dir: string, old: string, files: readonly ArchiveFile[]): Promise<void> {
  try {
    await rename(fresh, dir)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOTDIR') throw error
    // Somebody else unpacked the same package meanwhile, or what is there is damaged.
    if (await holds(dir, files)) return
    await rename(dir, old)
    await rename(fresh, dir)
  }
}

async function holds(dir: string, files: readonly ArchiveFile[]): Promise<boolean> {
  for (const { path, content } of files) {
    const found = await readFile(join(dir, path)).catch(() => undefined)
    if (found === undefined || !found.equals(content)) return false
  }
  return true
}
