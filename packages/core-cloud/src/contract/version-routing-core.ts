/** A version and its share of the calls. */
export interface WeightedVersion {
  /** `x.y.z`. */
  readonly version: string
  /** An integer from 0 to 1_000_000; 0 gets nothing. The shares are relative to their sum. */
  readonly weight: number
}

/** Which version of a contract gets a call. */
export interface VersionPolicy {
  /** At most 16. Order matters: see {@link versionOrder}. */
  readonly weights: readonly WeightedVersion[]
  /** Tenants that always get one version, whatever the weights say; at most 10_000. */
  readonly pins?: Readonly<Record<string, string>>
  /** What keeps a caller on one version: its tenant (default; the trace when it has none), or each trace by itself. */
  readonly sticky?: 'tenant' | 'trace'
}

/** Where a call may go: the first that somebody serves. */
export interface VersionChoice {
  readonly versions: readonly string[]
  /** True: nothing but these will do. */
  readonly strict: boolean
}

const versionForm = /^(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})$/
const maxVersions = 16
const maxWeight = 1_000_000
const maxPins = 10_000

/** @returns what is wrong with a policy, undefined when nothing is. */
export function policyFlaw(policy: VersionPolicy): { readonly field: string; readonly reason: string } | undefined {
  const { weights, pins = {} } = policy
  if (weights.length > maxVersions) return { field: 'weights', reason: `has more than ${maxVersions} versions` }
  const seen = new Set<string>()
  for (const [index, { version, weight }] of weights.entries()) {
    if (!versionForm.test(version)) return { field: `weights/${index}/version`, reason: 'must be x.y.z' }
    if (seen.has(version)) return { field: `weights/${index}/version`, reason: 'is there twice' }
    seen.add(version)
    if (!Number.isInteger(weight) || weight < 0 || weight > maxWeight)
      return { field: `weights/${index}/weight`, reason: `must be an integer from 0 to ${maxWeight}` }
  }
  if (weights.length > 0 && totalOf(weights) === 0) return { field: 'weights', reason: 'has no weight above 0' }
  const tenants = Object.entries(pins)
  if (tenants.length > maxPins) return { field: 'pins', reason: `has more than ${maxPins} tenants` }
  const wrong = tenants.find(([, version]) => !versionForm.test(version))
  return wrong === undefined ? undefined : { field: `pins/${wrong[0]}`, reason: 'must be x.y.z' }
}

/**
 * Decides one call: a pin first, else the version whose share of the line from 0 to the sum of weights the hash of
 * `key` falls in, then the others of the same policy, heaviest first. The same key always gets the same version, and
 * when the weight of the last version grows, no key leaves it: list the new version last.
 */
export function versionOrder(policy: VersionPolicy, tenant: string | undefined, key: string): VersionChoice {
  const pinned = tenant !== undefined && policy.pins !== undefined ? ownValue(policy.pins, tenant) : undefined
  if (pinned !== undefined) return { versions: [pinned], strict: true }
  const total = totalOf(policy.weights)
  if (total === 0) return { versions: [], strict: false }
  // The last version has the end of the line: more weight for it only moves its border towards the others.
  let place = (hashOf(key) / 0x1_0000_0000) * total
  let chosen: WeightedVersion | undefined
  for (const candidate of policy.weights) {
    if (candidate.weight === 0) continue
    chosen = candidate
    if (place < candidate.weight) break
    place -= candidate.weight
  }
  const others = policy.weights.filter(other => other !== chosen && other.weight > 0)
  others.sort((a, b) => b.weight - a.weight)
  return { versions: [chosen as WeightedVersion, ...others].map(({ version }) => version), strict: false }
}

function totalOf(weights: readonly WeightedVersion[]): number {
  let total = 0
  for (const { weight } of weights) total += weight
  return total
}

function ownValue(pins: Readonly<Record<string, string>>, tenant: string): string | undefined {
  return Object.hasOwn(pins, tenant) ? pins[tenant] : undefined
}

/** FNV-1a over UTF-16 units, then the finalizer of MurmurHash3: FNV alone leaves the high bits of short keys alike. */
function hashOf(text: string): number {
  let hash = 0x811c_9dc5
  for (let index = 0; index < text.length; index++) {
    hash ^= text.charCodeAt(index)
    hash = Math.imul(hash, 0x0100_0193)
  }
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85eb_ca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2_ae35)
  hash ^= hash >>> 16
  return hash >>> 0
}

/** `1.4.2` to `1`. */
export function majorOf(version: string): string {
  return version.slice(0, version.indexOf('.'))
}

/** The token that names a version in a subject: `v1-4-2`, or `v1` for all of a major. */
export function versionToken(version: string): string {
  return `v${version.replaceAll('.', '-')}`
}
