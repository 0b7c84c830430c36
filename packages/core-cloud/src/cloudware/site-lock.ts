import { rcompare, satisfies } from 'semver'
import { CloudError } from '../kernel/errors.js'
import type { PackageJson, PackageRef } from './manifest.js'

/** A package version that may be chosen: whatever the store holds for this tenant. */
export interface PackageCandidate {
  readonly ref: PackageRef
  readonly packageJson: PackageJson
}

/** What a site asks for. */
export interface LockRequest {
  /** Name of the site, for messages. */
  readonly name: string
  /** Version of the platform the site runs on; each package's `engine` range must take it. */
  readonly engine: string
  /** Packages the site itself wants, its program included: name to semver range; an exact version pins. */
  readonly wants: Readonly<Record<string, string>>
}

export interface LockedPackage {
  readonly name: string
  readonly version: string
  readonly digest: string
  readonly kind: PackageJson['aaas']['kind']
}

/** The packages of one site: one version each. Sorted by name; the same request and store give the same lock. */
export interface SiteLock {
  readonly format: 1
  readonly site: string
  readonly engine: string
  readonly packages: readonly LockedPackage[]
}

interface Need {
  readonly requirer: string
  readonly range: string
}

/** Choices tried before a request is given up as unsolvable; far above what real sites need. */
const maxTries = 10_000

/**
 * Chooses one version of each package that the site wants or its packages require: the newest that fits everything,
 * packages in order of their names. Pre-releases are chosen only when a range names one.
 * @throws CloudError `core.cloudware.missing-requirement` when a package, a version, or an extension point that a package
 *   hooks into is not there; `core.cloudware.conflict` when two requirers exclude each other, both named in
 *   the message and in `details.requirers`, and when the store holds two contents of one version.
 */
export function resolveLock(options: {
  readonly site: LockRequest
  readonly candidates: readonly PackageCandidate[]
}): SiteLock {
  const { site } = options
  const search = new Search(site.engine, byName(options.candidates))
  const needs = new Map<string, readonly Need[]>()
  for (const [name, range] of Object.entries(site.wants)) needs.set(name, [{ requirer: `site ${site.name}`, range }])
  const chosen = search.solve(needs, new Map())
  if (chosen === undefined) throw search.failure ?? tooHard(site.name)
  checkExtensionPoints([...chosen.values()])
  return {
    format: 1,
    site: site.name,
    engine: site.engine,
    packages: [...chosen.values()]
      .map(({ ref, packageJson }) => ({
        name: ref.name,
        version: ref.version,
        digest: ref.digest,
        kind: packageJson.aaas.kind,
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
  }
}

type Choice = ReadonlyMap<string, PackageCandidate>

class Search {
  /** The first dead end on the way that prefers new versions: the one a person can follow. */
  failure: CloudError | undefined
  #tries = 0

  constructor(
    readonly engine: string,
    readonly versions: ReadonlyMap<string, readonly PackageCandidate[]>,
  ) {}

  solve(needs: ReadonlyMap<string, readonly Need[]>, chosen: Choice): Choice | undefined {
    const name = [...needs.keys()].filter(key => !chosen.has(key)).sort()[0]
    if (name === undefined) return chosen
    const wanted = needs.get(name) ?? []
    const fitting = (this.versions.get(name) ?? []).filter(candidate => this.#fits(candidate, wanted))
    if (fitting.length === 0) {
      this.failure ??= this.#explain(name, wanted)
      return undefined
    }
    for (const candidate of fitting) {
      this.#tries += 1
      if (this.#tries > maxTries) return undefined
      const more = this.#withNeeds(needs, chosen, candidate)
      const found = more === undefined ? undefined : this.solve(more, new Map(chosen).set(name, candidate))
      if (found !== undefined) return found
    }
    return undefined
  }

  #fits({ ref, packageJson }: PackageCandidate, wanted: readonly Need[]): boolean {
    return this.#runs(packageJson) && wanted.every(need => satisfies(ref.version, need.range))
  }

  #runs(packageJson: PackageJson): boolean {
    return satisfies(this.engine, packageJson.aaas.engine, { includePrerelease: true })
  }

  /** The needs with those of `candidate`, or undefined when one of them excludes a package chosen before. */
  #withNeeds(needs: ReadonlyMap<string, readonly Need[]>, chosen: Choice, candidate: PackageCandidate) {
    const more = new Map(needs)
    const requirer = `${candidate.ref.name}@${candidate.ref.version}`
    for (const [name, range] of Object.entries(candidate.packageJson.aaas.requires ?? {}).sort()) {
      const all = [...(more.get(name) ?? []), { requirer, range }]
      more.set(name, all)
      const other = chosen.get(name) ?? (name === candidate.ref.name ? candidate : undefined)
      if (other !== undefined && !satisfies(other.ref.version, range)) {
        this.failure ??= this.#explain(name, all)
        return undefined
      }
    }
    return more
  }

  #explain(name: string, wanted: readonly Need[]): CloudError {
    const all = this.versions.get(name) ?? []
    const running = all.filter(candidate => this.#runs(candidate.packageJson))
    const who = wanted.map(need => `${need.requirer} needs ${name} ${need.range}`).join('; ')
    const lonely = wanted.find(need => !running.some(candidate => satisfies(candidate.ref.version, need.range)))
    if (lonely !== undefined) {
      const why =
        all.length === 0
          ? 'the store has no such package'
          : running.length === 0
            ? `no version of it runs on platform ${this.engine}`
            : `the store has ${list(running)}`
      return new CloudError(
        'core.cloudware.missing-requirement',
        `${lonely.requirer} needs ${name} ${lonely.range}: ${why}`,
        {
          details: { package: name, requirer: lonely.requirer, range: lonely.range },
        },
      )
    }
    return new CloudError('core.cloudware.conflict', `${who}: no version fits all (the store has ${list(running)})`, {
      details: { package: name, requirers: wanted.map(need => ({ ...need })) },
    })
  }
}

function list(candidates: readonly PackageCandidate[]): string {
  const newest = candidates.slice(0, 10).map(candidate => candidate.ref.version)
  return `${newest.join(', ')}${candidates.length > 10 ? ' ...' : ''}`
}

/** Candidates by name, newest first. */
function byName(candidates: readonly PackageCandidate[]): Map<string, PackageCandidate[]> {
  const digests = new Map<string, string>()
  const versions = new Map<string, PackageCandidate[]>()
  for (const candidate of candidates) {
    const { name, version, digest } = candidate.ref
    const known = digests.get(`${name}@${version}`)
    if (known === digest) continue
    if (known !== undefined) {
      throw new CloudError('core.cloudware.conflict', `the store holds two different packages ${name}@${version}`, {
        details: { package: name, version, digests: [known, digest].sort() },
      })
    }
    digests.set(`${name}@${version}`, digest)
    versions.set(name, [...(versions.get(name) ?? []), candidate])
  }
  for (const list of versions.values()) list.sort((a, b) => rcompare(a.ref.version, b.ref.version))
  return versions
}

/** Each hook must be offered by a program of the site; a program that lists no points says nothing about them. */
function checkExtensionPoints(chosen: readonly PackageCandidate[]): void {
  const programs = chosen.filter(({ packageJson }) => packageJson.aaas.extensionPoints !== undefined)
  if (programs.length === 0) return
  const offered = new Set(programs.flatMap(({ packageJson }) => packageJson.aaas.extensionPoints ?? []))
  for (const { ref, packageJson } of chosen) {
    const absent = packageJson.aaas.hooks?.find(use => !offered.has(use.hook))
    if (absent === undefined) continue
    const names = programs.map(program => `${program.ref.name}@${program.ref.version}`).join(', ')
    throw new CloudError(
      'core.cloudware.missing-requirement',
      `${ref.name}@${ref.version} hooks into ${absent.hook}, which ${names} does not offer`,
      { details: { package: ref.name, hook: absent.hook, programs: names } },
    )
  }
}

function tooHard(site: string): CloudError {
  return new CloudError('core.cloudware.conflict', `no solution for site ${site} within ${maxTries} tries`)
}
