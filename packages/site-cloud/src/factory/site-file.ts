import { CloudError } from '@aaas/core-cloud/kernel'
import { type Static, type TSchema, Type } from 'typebox'
import { Compile } from 'typebox/compile'

/** What a site owner writes: `site.json`. */
export const SiteFile = Type.Object(
  {
    $schema: Type.Optional(Type.String()),
    /** Template name, such as `shop`. */
    template: Type.String({ pattern: '^[a-z][a-z0-9-]{0,39}$' }),
    /** Name of the site on the platform: lower-case letters, digits, dashes. */
    name: Type.String({ pattern: '^[a-z][a-z0-9-]{0,39}$' }),
    /** Host names besides `<name>.localhost`. */
    hostNames: Type.Optional(
      Type.Array(Type.String({ pattern: '^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$' }), { maxItems: 20 }),
    ),
    /** Settings of the template: title, languages, theme ...; checked against the template's own schema. */
    config: Type.Optional(Type.Unknown()),
    /** CSV file beside site.json. */
    catalogue: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}$' })),
    performance: Type.Object(
      {
        ordersPerMinute: Type.Number({ minimum: 1, maximum: 10_000_000 }),
        p99Ms: Type.Number({ minimum: 1, maximum: 60_000 }),
      },
      { additionalProperties: false },
    ),
  },
  { additionalProperties: false },
)
export type SiteFile = Static<typeof SiteFile>

/**
 * Checks a value and names the first wrong place.
 * @throws CloudError `site.factory.invalid-site` with `field` such as `performance/p99Ms`.
 */
export function checked<T extends TSchema>(schema: T, value: unknown, where = ''): Static<T> {
  const validator = Compile(schema)
  if (validator.Check(value)) return value as Static<T>
  const first = validator.Errors(value)[0]
  const path = fieldOf(first, where)
  throw new CloudError(
    'site.factory.invalid-site',
    `${path === '' ? 'site.json' : path} ${first?.message ?? 'is wrong'}`,
    {
      ...(path === '' ? {} : { field: path }),
    },
  )
}

interface SchemaProblem {
  readonly instancePath: string
  readonly keyword: string
  readonly params: unknown
  readonly message: string
}

/** The place of a problem; for a missing or unknown property the property itself, not its parent. */
function fieldOf(problem: SchemaProblem | undefined, where: string): string {
  if (problem === undefined) return where
  const params = problem.params as { requiredProperties?: string[]; additionalProperties?: string[] }
  const extra = params.requiredProperties?.[0] ?? params.additionalProperties?.[0]
  const inner = `${problem.instancePath}${extra === undefined ? '' : `/${extra}`}`.replace(/^\//, '')
  return [where, inner].filter(part => part !== '').join('/')
}

/** Parses the text of a site.json. */
export function parseSiteFile(text: string): SiteFile {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new CloudError('site.factory.invalid-site', `site.json is not JSON: ${(error as Error).message}`, {
      cause: error,
    })
  }
  return checked(SiteFile, value)
}
