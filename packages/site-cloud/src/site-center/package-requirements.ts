import type { PackageJson } from '@aaas/core-cloud/cloudware'
import { CloudError } from '@aaas/core-cloud/kernel'
import semver from 'semver'

/**
 * Checks that the packages of one site fit together: what each requires is there in a fitting version, and the hooks
 * they use are offered by the program.
 * @throws CloudError `core.cloudware.missing-requirement` or `core.cloudware.conflict` naming both packages.
 */
export function checkRequirements(options: { readonly program?: PackageJson; readonly cloudware: readonly PackageJson[] }): void {
  const present = new Map(options.cloudware.map(one => [one.name, one.version]))
  if (options.program !== undefined) present.set(options.program.name, options.program.version)
  const offered = options.program?.aaas.extensionPoints
  for (const one of options.cloudware) {
    for (const [name, range] of Object.entries(one.aaas.requires ?? {})) {
      const version = present.get(name)
      if (version === undefined) {
        throw new CloudError('core.cloudware.missing-requirement', `${one.name} requires ${name}@${range}, which the site does not have`)
      }
      if (!semver.satisfies(version, range, { includePrerelease: true })) {
        throw new CloudError('core.cloudware.conflict', `${one.name} requires ${name}@${range}, the site has ${version}`)
      }
    }
    for (const use of one.aaas.hooks ?? []) {
      if (offered !== undefined && !offered.includes(use.hook)) {
        throw new CloudError('core.cloudware.missing-requirement', `${one.name} uses the hook ${use.hook}, which the site does not offer`)
      }
    }
  }
}
