import { type PackageCandidate, parsePackageJson, resolveLock, type SiteLock } from '@aaas/core-cloud/cloudware'
import { CloudError } from '@aaas/core-cloud/kernel'
import fc from 'fast-check'
import { satisfies } from 'semver'
import { test } from 'tap'
import { sha512 } from '../../src/cloudware/archive.js'

function candidate(id: string, requires: Record<string, string> = {}, more: object = {}): PackageCandidate {
  const at = id.lastIndexOf('@')
  const [name, version] = [id.slice(0, at), id.slice(at + 1)]
  const aaas = { kind: 'service', engine: '^0.1.0', entry: 'index.js', requires, ...more }
  return { ref: { name, version, digest: sha512(id) }, packageJson: parsePackageJson({ name, version, aaas }) }
}

function lock(wants: Record<string, string>, candidates: readonly PackageCandidate[], engine = '0.1.0'): SiteLock {
  return resolveLock({ site: { name: 'shop', engine, wants }, candidates })
}
const ids = (found: SiteLock): string[] => found.packages.map(({ name, version }) => `${name}@${version}`)

function refusal(work: () => unknown): CloudError {
  try {
    work()
  } catch (error) {
    if (CloudError.is(error)) return error
    throw error
  }
  throw new Error('it was solved')
}

test('the newest that fits is taken, requirements included, with digests', async t => {
  const found = lock({ a: '^1.0.0' }, [
    candidate('a@1.0.0'),
    candidate('a@1.2.0', { b: '~2.1.0' }),
    candidate('a@1.10.0', { b: '~2.1.0' }),
    candidate('a@2.0.0'),
    candidate('a@1.11.0-rc.1'),
    candidate('b@2.1.0'),
    candidate('b@2.1.7'),
    candidate('b@2.2.0'),
    candidate('unused@1.0.0'),
  ])
  t.same(found, {
    format: 1,
    site: 'shop',
    engine: '0.1.0',
    packages: [
      { name: 'a', version: '1.10.0', digest: sha512('a@1.10.0'), kind: 'service' },
      { name: 'b', version: '2.1.7', digest: sha512('b@2.1.7'), kind: 'service' },
    ],
  })
})

test('an older version is taken when the newest excludes another requirement', async t => {
  const found = lock({ a: '*', b: '^1.0.0' }, [
    candidate('a@1.0.0', { b: '^1.0.0' }),
    candidate('a@2.0.0', { b: '^2.0.0' }),
    candidate('b@1.0.0'),
    candidate('b@2.0.0'),
  ])
  t.same(ids(found), ['a@1.0.0', 'b@1.0.0'])
})

test('cycles are no problem, and a package may be pinned', async t => {
  const found = lock({ a: '1.0.0' }, [
    candidate('a@1.0.0', { b: '*' }),
    candidate('a@1.1.0'),
    candidate('b@1.0.0', { a: '^1.0.0' }),
  ])
  t.same(ids(found), ['a@1.0.0', 'b@1.0.0'])
})

test('a conflict names both requirers', async t => {
  const error = refusal(() =>
    lock({ a: '*', b: '*' }, [
      candidate('a@1.0.0', { c: '^1.0.0' }),
      candidate('b@3.0.0', { c: '^2.0.0' }),
      candidate('c@1.5.0'),
      candidate('c@2.5.0'),
    ]),
  )
  t.equal(error.code, 'core.cloudware.conflict')
  t.match(error.message, /a@1\.0\.0 needs c \^1\.0\.0; b@3\.0\.0 needs c \^2\.0\.0/)
  t.same(error.details?.requirers, [
    { requirer: 'a@1.0.0', range: '^1.0.0' },
    { requirer: 'b@3.0.0', range: '^2.0.0' },
  ])
})

test('what the site pins and a package excludes is a conflict that names the site', async t => {
  const error = refusal(() =>
    lock({ a: '1.0.0', b: '*' }, [candidate('a@1.0.0'), candidate('a@2.0.0'), candidate('b@1.0.0', { a: '^2.0.0' })]),
  )
  t.equal(error.code, 'core.cloudware.conflict')
  t.match(error.message, /site shop needs a 1\.0\.0; b@1\.0\.0 needs a \^2\.0\.0/)
})

test('a missing package, version, platform or extension point is named with its requirer', async t => {
  const hook = { kind: 'cloudware', hooks: [{ hook: 'order.place@2', kind: 'validate' }] }
  const cases: [() => unknown, RegExp][] = [
    [() => lock({ a: '^1.0.0' }, []), /site shop needs a \^1\.0\.0: the store has no such package/],
    [() => lock({ a: '^1.0.0' }, [candidate('a@2.0.0')]), /the store has 2\.0\.0/],
    [
      () => lock({ a: '*' }, [candidate('a@1.0.0', { gone: '^3.0.0' })]),
      /a@1\.0\.0 needs gone \^3\.0\.0: the store has no such package/,
    ],
    [
      () => lock({ a: '*' }, [candidate('a@1.0.0', {}, { engine: '^0.2.0' })]),
      /no version of it runs on platform 0\.1\.0/,
    ],
    [
      () =>
        lock({ a: '*', s: '*' }, [
          candidate('a@1.0.0', {}, hook),
          candidate('s@1.0.0', {}, { extensionPoints: ['order.place@1'] }),
        ]),
      /a@1\.0\.0 hooks into order\.place@2, which s@1\.0\.0 does not offer/,
    ],
  ]
  for (const [work, message] of cases) {
    t.match(refusal(work), { code: 'core.cloudware.missing-requirement', message })
  }
  const offered = candidate('s@1.0.0', {}, { extensionPoints: ['order.place@1', 'order.place@2'] })
  t.same(ids(lock({ a: '*', s: '*' }, [candidate('a@1.0.0', {}, hook), offered])), ['a@1.0.0', 's@1.0.0'])
})

test('two contents of one version are refused', async t => {
  const one = candidate('a@1.0.0')
  t.same(ids(lock({ a: '*' }, [one, one])), ['a@1.0.0'])
  const twin = { ...one, ref: { ...one.ref, digest: sha512('other') } }
  t.equal(refusal(() => lock({ a: '*' }, [one, twin])).code, 'core.cloudware.conflict')
})

const names = ['a', 'b', 'c', 'd'] as const
const versions = ['1.0.0', '1.1.0', '2.0.0'] as const
const range = fc.constantFrom('*', '^1.0.0', '~1.0.0', '>=1.1.0', '^2.0.0', '1.1.0')
const requires = fc.dictionary(fc.constantFrom(...names), range, { maxKeys: 2 })
const store = fc
  .array(fc.tuple(fc.constantFrom(...names), fc.constantFrom(...versions), requires), { maxLength: 10 })
  .map(rows => [
    ...new Map(rows.map(row => [`${row[0]}@${row[1]}`, candidate(`${row[0]}@${row[1]}`, row[2])])).values(),
  ])

/** Every choice of at most one version a package, tried one after another. */
function solvable(wants: Record<string, string>, candidates: readonly PackageCandidate[]): boolean {
  const choices = names.map(name => [undefined, ...candidates.filter(each => each.ref.name === name)])
  const product = choices.reduce<(PackageCandidate | undefined)[][]>(
    (sets, options) => sets.flatMap(set => options.map(option => [...set, option])),
    [[]],
  )
  return product.some(set =>
    fits(
      wants,
      set.filter(each => each !== undefined),
    ),
  )
}
function fits(wants: Record<string, string>, chosen: readonly PackageCandidate[]): boolean {
  const needs = [wants, ...chosen.map(each => each.packageJson.aaas.requires ?? {})].flatMap(need =>
    Object.entries(need),
  )
  return needs.every(([name, wanted]) =>
    chosen.some(each => each.ref.name === name && satisfies(each.ref.version, wanted)),
  )
}

test('it finds a solution exactly when there is one, the same whatever the order of the store', async () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom(...names), range, { minKeys: 1, maxKeys: 3 }),
      store,
      (wants, candidates) => {
        let found: SiteLock | undefined
        try {
          found = lock(wants, candidates)
        } catch (error) {
          if (!CloudError.is(error)) throw error
          return !solvable(wants, candidates)
        }
        const again = lock(Object.fromEntries(Object.entries(wants).reverse()), candidates.toReversed())
        const chosen = found.packages.map(({ name, version }) =>
          candidates.find(each => each.ref.name === name && each.ref.version === version),
        )
        return (
          fits(
            wants,
            chosen.filter(each => each !== undefined),
          ) && JSON.stringify(again) === JSON.stringify(found)
        )
      },
    ),
    { numRuns: 600 },
  )
})

test('a hard store is given up, not searched for ever', async t => {
  const many: PackageCandidate[] = []
  for (let index = 0; index < 12; index++) {
    for (let minor = 0; minor < 10; minor++) many.push(candidate(`p${index}@1.${minor}.0`, { z: `^${minor + 2}.0.0` }))
  }
  many.push(candidate('z@1.0.0'))
  const wants = Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`p${index}`, '*']))
  t.match(refusal(() => lock(wants, many)).code, /core\.cloudware\.(conflict|missing-requirement)/)
})
