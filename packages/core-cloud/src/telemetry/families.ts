import { Type } from 'typebox'
import { Compile } from 'typebox/compile'
import type { CollectedFamily, Sample } from './metric-registry.js'

/** A counter or gauge of which the values are known elsewhere. */
export function familyOf(
  type: 'counter' | 'gauge',
  name: string,
  help: string,
  series: Iterable<{ readonly labels: Readonly<Record<string, string>>; readonly value: number }>,
): CollectedFamily {
  const samples = Array.from(series, ({ labels, value }) => ({ suffix: '', labels: Object.entries(labels), value }))
  return { name, help, type, samples }
}

/** Families of one source, and the labels that say which one. */
export interface LabelledFamilies {
  readonly labels: Readonly<Record<string, string>>
  readonly families: readonly CollectedFamily[]
}

/**
 * One list of the families of several sources. A label that a source already uses for itself is replaced: no source can
 * speak for another. Of families with one name and different types the first one counts.
 */
export function mergeFamilies(sources: readonly LabelledFamilies[]): readonly CollectedFamily[] {
  const merged = new Map<string, CollectedFamily & { readonly samples: Sample[] }>()
  for (const { labels, families } of sources) {
    const own = Object.entries(labels)
    const taken = new Set(own.map(([label]) => label))
    for (const { name, help, type, samples } of families) {
      const family = merged.get(name) ?? { name, help, type, samples: [] }
      if (family.type !== type) continue
      merged.set(name, family)
      for (const sample of samples) {
        const rest = sample.labels.filter(([label]) => !taken.has(label))
        family.samples.push({ ...sample, labels: [...own, ...rest] })
      }
    }
  }
  return [...merged.values()]
}

const maxFamilies = 256
const maxSamples = 20_000

const labelName = Type.String({ pattern: '^[a-zA-Z_][a-zA-Z0-9_]{0,63}$' })
/** Compiled when it is first needed: only hosts read what others send. */
let form: ReturnType<typeof formOf> | undefined

const formOf = () =>
  Compile(
    Type.Array(
      Type.Object({
        name: Type.String({ pattern: '^[a-zA-Z_][a-zA-Z0-9_]{0,127}$' }),
        help: Type.String({ maxLength: 500 }),
        type: Type.Union([Type.Literal('counter'), Type.Literal('gauge'), Type.Literal('histogram')]),
        samples: Type.Array(
          Type.Object({
            suffix: Type.Union(['', '_bucket', '_sum', '_count'].map(suffix => Type.Literal(suffix))),
            labels: Type.Array(Type.Tuple([labelName, Type.String({ maxLength: 200 })]), { maxItems: 16 }),
            value: Type.Number(),
          }),
          { maxItems: maxSamples },
        ),
      }),
      { maxItems: maxFamilies },
    ),
  )

/**
 * Families that another process sent, who may be anybody: at most 256 with together 20,000 samples.
 * @returns undefined for anything else.
 */
export function readFamilies(value: unknown): readonly CollectedFamily[] | undefined {
  form ??= formOf()
  if (!form.Check(value)) return undefined
  const families = value as readonly CollectedFamily[]
  return families.reduce((sum, { samples }) => sum + samples.length, 0) <= maxSamples ? families : undefined
}
