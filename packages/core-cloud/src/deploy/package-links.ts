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

/** Schemas of contracts are TypeBox objects: packages that define contracts use the platform's own copy. */
function schemaPackage(): string {
  const path = fileURLToPath(import.meta.resolve('typebox'))
  const end = path.lastIndexOf(join('node_modules', 'typebox')) + join('node_modules', 'typebox').length
  return path.slice(0, end)
}

/**
 * Makes `<packagesDir>/node_modules/@aaas/<name>` (and `typebox` beside it) point at the installed packages: unpacked packages find them by Node's
 * ordinary look-up, and Node goes on from the real place, so that the platform's own dependencies are found too.
 * @throws the system's error when a link cannot be made.
 */
export async function linkPlatformPackages(packagesDir: string, packages: ReadonlyMap<string, string>): Promise<void> {
  const scope = join(packagesDir, 'node_modules', '@aaas')
  await mkdir(scope, { recursive: true, mode: 0o700 })
  const links = [
    ...[...packages].map(([name, target]) => [join(scope, name), target] as const),
    [join(scope, '..', 'typebox'), schemaPackage()] as const,
  ]
  for (const [link, target] of links) {
    if ((await readlink(link).catch(() => undefined)) === target) continue
    await rm(link, { recursive: true, force: true })
    await symlink(target, link, 'dir')
  }
}
