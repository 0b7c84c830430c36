import { type Static, Type } from 'typebox'

export const packageNamePattern = '^(@[a-z0-9-]+/)?[a-z0-9][a-z0-9-]{0,63}$'
const packageName = Type.String({ pattern: packageNamePattern })
const semver = Type.String({ pattern: '^\\d+\\.\\d+\\.\\d+(-[0-9A-Za-z.-]+)?$' })
/** `centre.hook@major` */
const hookName = Type.String({ pattern: '^[a-z][a-z0-9-]*\\.[a-z][a-z0-9-]*@\\d+$' })

/** What a package does with one hook of the program it extends. */
export const HookUse = Type.Object(
  {
    hook: hookName,
    kind: Type.Union([
      Type.Literal('validate'),
      Type.Literal('transform'),
      Type.Literal('provide'),
      Type.Literal('on'),
      Type.Literal('view'),
    ]),
    /**
     * What happens when the handler throws, hangs or its process is gone:
     * `closed` fails the operation, `open` goes on as if the package were not there.
     * `on` handlers are always retried and then dead-lettered; for them the value is ignored.
     */
    failure: Type.Union([Type.Literal('open'), Type.Literal('closed')], { default: 'open' }),
    /** Milliseconds for one call. */
    deadlineMs: Type.Integer({ minimum: 1, maximum: 10_000, default: 200 }),
    /** Lower runs first; equal orders run by package name. */
    order: Type.Integer({ minimum: -1000, maximum: 1000, default: 0 }),
  },
  { additionalProperties: false },
)
export type HookUse = Static<typeof HookUse>

/** The `aaas` manifest of a package: the `aaas` field of its package.json. */
export const Manifest = Type.Object(
  {
    kind: Type.Union([Type.Literal('site'), Type.Literal('service'), Type.Literal('cloudware')]),
    /** Semver range of the platform this package runs on. */
    engine: Type.String({ minLength: 1, maxLength: 100 }),
    /** Module inside the package, no `..`: exports `program` (kinds site, service), or `cloudware` or a default. */
    entry: Type.String({ pattern: '^(?!/)(?!(.*/)?\\.\\.(/|$))[A-Za-z0-9_./-]+\\.m?js$', maxLength: 200 }),
    /** Points this program offers to cloudware: `centre.hook@major`. */
    extensionPoints: Type.Optional(Type.Array(hookName, { maxItems: 100, uniqueItems: true })),
    hooks: Type.Optional(Type.Array(HookUse, { maxItems: 50 })),
    /** Other packages this one needs on the same site: name to semver range. */
    requires: Type.Optional(
      Type.Record(packageName, Type.String({ minLength: 1, maxLength: 100 }), { maxProperties: 50 }),
    ),
    /**
     * What its process may use. Cloudware runs in a process of its own; `memoryMb` is the resident size in MiB at which
     * that process is killed. An empty Node process takes about 45 to 65 of them, hence the minimum.
     */
    resources: Type.Optional(
      Type.Object(
        { memoryMb: Type.Integer({ minimum: 96, maximum: 4096, default: 128 }) },
        { additionalProperties: false },
      ),
    ),
    /** JSON Schema (an object schema) of the configuration a site may give it; defaults of its top level are filled in. */
    config: Type.Optional(Type.Unknown()),
    /** Data level: goes up with each migration the package brings. */
    dataLevel: Type.Optional(Type.Integer({ minimum: 0 })),
    /** Of a site: the template it was generated from. */
    template: Type.Optional(Type.Object({ name: packageName, version: semver }, { additionalProperties: false })),
  },
  { additionalProperties: false },
)
export type Manifest = Static<typeof Manifest>

/** The parts of package.json that the platform reads. */
export const PackageJson = Type.Object({
  name: packageName,
  version: semver,
  description: Type.Optional(Type.String({ maxLength: 500 })),
  aaas: Manifest,
})
export type PackageJson = Static<typeof PackageJson>

/** A package at rest: what it is called and what its bytes are. */
export interface PackageRef {
  readonly name: string
  readonly version: string
  /** SHA-512 of the tarball, lower-case hex. */
  readonly digest: string
}
