import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { checkMigrations, type MigrationSet } from '@aaas/support-cloud/rdbms'
import { test } from 'tap'

const packages = fileURLToPath(new URL('../../../../', import.meta.url))

function isSet(value: unknown): value is MigrationSet {
  return typeof value === 'object' && value !== null && 'owner' in value && 'migrations' in value
}

/** Every set that the platform has, found where it is written: one that is new is not forgotten here. */
async function ownSets(): Promise<readonly MigrationSet[]> {
  const sets = new Map<string, MigrationSet>()
  for (const name of readdirSync(packages)) {
    const dist = join(packages, name, 'dist', 'src')
    for (const file of readdirSync(join(packages, name, 'src'), { recursive: true, encoding: 'utf8' })) {
      if (
        !file.endsWith('.ts') ||
        !/: MigrationSet = \{/.test(readFileSync(join(packages, name, 'src', file), 'utf8'))
      ) {
        continue
      }
      const module: unknown = await import(pathToFileURL(join(dist, file.replace(/\.ts$/, '.js'))).href)
      const values = Object.values(module as object).flatMap((value: unknown) =>
        Array.isArray(value) ? value : [value],
      )
      for (const set of values.filter(isSet)) sets.set(set.owner, set)
    }
  }
  return [...sets.values()]
}

test('a rolling upgrade survives every step of the platform’s own databases', async t => {
  const sets = await ownSets()
  for (const owner of [
    'support-cloud/transaction',
    'business-cloud/order',
    'site-cloud/site-center',
    'template/shop',
  ]) {
    t.ok(
      sets.some(set => set.owner === owner),
      owner,
    )
  }
  t.doesNotThrow(() => checkMigrations(sets))
})
