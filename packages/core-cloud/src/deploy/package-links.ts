import { mkdir, readlink, rm, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The platform's packages that unpacked packages may import, as far as they are installed. */
const platformPackages = ['core-cloud', 'support-cloud', 'access-cloud', 'business-cloud', 'site-cloud'] as const

/** @returns folders of the installed platform packages, by name. */
export function installedPlatformPackages(): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (const name of platformPackages) {
    try {
      found.set(name, dirname(fileURLToPath(import.meta.resolve(`@aaas/${name}/package.json`))))
    } catch {
      // Layers above this one need not be installed.
    }
  }
  return found
}

/**
 * Makes `<packagesDir>/node_modules/@aaas/<name>` point at the installed packages: unpacked packages find them by Node's
 * ordinary look-up, and Node goes on from the real place, so that the platform's own dependencies are found too.
 * @throws the system's error when a link cannot be made.
 */
export async function linkPlatformPackages(packagesDir: string, packages: ReadonlyMap<string, string>): Promise<void> {
  const scope = join(packagesDir, 'node_modules', '@aaas')
  await mkdir(scope, { recursive: true, mode: 0o700 })
  for (const [name, target] of packages) {
    const link = join(scope, name)
    if ((await readlink(link).catch(() => undefined)) === target) continue
    await rm(link, { recursive: true, force: true })
    await symlink(target, link, 'dir')
  }
}
