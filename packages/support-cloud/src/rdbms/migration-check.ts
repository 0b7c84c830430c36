import { CloudError } from '@aaas/core-cloud/kernel'
import type { Migration, MigrationSet } from './migration.js'

/** Something that would break or stop the version that runs beside the step. */
export interface MigrationFlaw {
  readonly owner: string
  readonly level: number
  readonly name: string
  readonly reason: string
}

/**
 * Finds steps that a rolling upgrade from the version before would not survive: removals outside `contract`, a `contract`
 * in the same release as its `expand`, released steps that were changed, statements that the old version's writes fail
 * on or wait for. Reads the SQL as text: it knows the usual dangers and proves nothing. Steps in code cannot be read and
 * need `allow`. The first level of a set is not read: nobody used its tables before.
 * @param options.previous - the set as the version before has it; without it the `release` of the steps says what is new.
 */
export function migrationFlaws(
  set: MigrationSet,
  options: { readonly previous?: MigrationSet } = {},
): readonly MigrationFlaw[] {
  const flaws: MigrationFlaw[] = []
  const { previous } = options
  for (const [index, step] of set.migrations.entries()) {
    const add = (reason: string): void =>
      void flaws.push({ owner: set.owner, level: step.level, name: step.name, reason })
    if (step.level !== index + 1) add(`must have level ${index + 1}`)
    const old = previous?.migrations[index]
    if (old !== undefined && (old.name !== step.name || String(old.up) !== String(step.up))) {
      add('was changed after its release; add a new step')
    }
    if (step.phase === 'contract') {
      const reason = contractFlaw(set, step, previous)
      if (reason !== undefined) add(reason)
    }
    if (step.allow !== undefined || step.level === 1) continue
    if (typeof step.up !== 'string') {
      if (old === undefined) add('is code, which cannot be read: say in `allow` why it is safe')
    } else for (const reason of dangers(step.up, step.phase ?? 'expand')) add(reason)
  }
  if (previous !== undefined && previous.migrations.length > set.migrations.length) {
    const { level, name } = previous.migrations.at(-1) as Migration
    flaws.push({ owner: set.owner, level, name, reason: 'was removed after its release' })
  }
  return flaws
}

/** @throws CloudError `support.rdbms.unsafe-migration` with what {@link migrationFlaws} finds in `details.flaws`. */
export function checkMigrations(
  sets: readonly MigrationSet[],
  options: { readonly previous?: readonly MigrationSet[] } = {},
): void {
  const flaws = sets.flatMap(set => {
    const previous = options.previous?.find(one => one.owner === set.owner)
    return migrationFlaws(set, previous === undefined ? {} : { previous })
  })
  const [first] = flaws
  if (first === undefined) return
  throw new CloudError(
    'support.rdbms.unsafe-migration',
    `${first.owner} ${first.level} ${first.name} ${first.reason}${flaws.length > 1 ? ` (and ${flaws.length - 1} more)` : ''}`,
    { field: `${first.owner}/${first.level}`, details: { flaws } },
  )
}

function contractFlaw(set: MigrationSet, step: Migration, previous: MigrationSet | undefined): string | undefined {
  const expand = set.migrations.find(one => one.level === step.after)
  if (expand === undefined || expand.level >= step.level)
    return 'must name in `after` the expand step that came before it'
  if ((expand.phase ?? 'expand') !== 'expand')
    return `names level ${expand.level} in \`after\`, which is no expand step`
  if (previous !== undefined) {
    if (previous.migrations.length >= step.level) return undefined
    return previous.migrations.length >= expand.level
      ? undefined
      : `comes in the same release as its expand step ${expand.level}: the version before still uses what it removes`
  }
  if (step.release === undefined || expand.release === undefined) return 'and its expand step must say their `release`'
  return newer(step.release, expand.release)
    ? undefined
    : `comes in the same release as its expand step ${expand.level}: the version before still uses what it removes`
}

/** A patch is no release of its own here: versions that differ by one run beside each other. */
function newer(a: string, b: string): boolean {
  const [x, y] = [a, b].map(text => text.split('.').map(Number))
  const [major = 0, minor = 0] = x ?? []
  const [majorB = 0, minorB = 0] = y ?? []
  return major > majorB || (major === majorB && minor > minorB)
}

interface Rule {
  readonly pattern: RegExp
  readonly reason: string
  /** Fine in `contract`. */
  readonly removal?: boolean
}

/** In statements whose literals, comments and bodies are taken out. The first group is the table, where one is named. */
const name = String.raw`(?:if\s+exists\s+)?(?:only\s+)?([\w."]+)`
const rules: readonly Rule[] = [
  { pattern: /^drop\s+table\s+(?:if\s+exists\s+)?([\w."]+)/, reason: 'drops a table', removal: true },
  {
    pattern: /^drop\s+(?:materialized\s+)?(?:view|function|procedure|type|schema|sequence|domain)\b/,
    reason: 'drops something that the version before may call',
    removal: true,
  },
  { pattern: /^truncate\s+(?:table\s+)?([\w."]+)/, reason: 'empties a table', removal: true },
  {
    pattern: new RegExp(
      `^alter\\s+table\\s+${name}.*\\bdrop\\s+(?:column\\b|(?!constraint|default|not|expression|identity)\\w)`,
    ),
    reason: 'drops a column',
    removal: true,
  },
  { pattern: new RegExp(`^alter\\s+table\\s+${name}.*\\brename\\b`), reason: 'renames a table or column' },
  {
    pattern: new RegExp(
      `^alter\\s+table\\s+${name}.*\\balter\\s+(?:column\\s+)?[\\w"]+\\s+(?:set\\s+data\\s+)?type\\b`,
    ),
    reason: 'changes the type of a column',
  },
  {
    pattern: new RegExp(`^alter\\s+table\\s+${name}.*\\bset\\s+not\\s+null\\b`),
    reason: 'forbids NULL, which the version before may write',
    removal: true,
  },
  {
    pattern: new RegExp(
      `^alter\\s+table\\s+${name}(?=.*\\badd\\s+(?:column\\b|(?!constraint)\\w))(?=.*\\bnot\\s+null\\b)(?!.*\\b(?:default|generated)\\b)`,
    ),
    reason: 'adds a NOT NULL column without a default, which the version before does not fill',
  },
  {
    pattern: new RegExp(
      `^alter\\s+table\\s+${name}(?=.*\\badd\\s+(?:constraint|check|foreign|unique|primary|exclude)\\b)(?!.*\\bnot\\s+valid\\b)`,
    ),
    reason: 'adds a constraint that checks all rows under a lock; add it NOT VALID and validate it in a later step',
    removal: true,
  },
  {
    pattern:
      /^create\s+(?:unique\s+)?index\s+(?!concurrently)(?:if\s+not\s+exists\s+)?(?:[\w."]+\s+)?on\s+(?:only\s+)?([\w."]+)/,
    reason: 'builds an index while writes wait; say in `allow` that the table is small',
  },
]

function dangers(sql: string, phase: 'expand' | 'migrate' | 'contract'): readonly string[] {
  const statements = statementsOf(sql)
  const made = new Set<string>()
  const found = new Set<string>()
  for (const statement of statements) {
    const table = /^create\s+(?:unlogged\s+)?table\s+(?:if\s+not\s+exists\s+)?([\w."]+)/.exec(statement)?.[1]
    if (table !== undefined) made.add(table)
    for (const { pattern, reason, removal } of rules) {
      const match = pattern.exec(statement)
      // What the step itself made is nobody else's yet.
      if (match === null || made.has(match[1] ?? '') || (removal === true && phase === 'contract')) continue
      found.add(`${reason}: ${statement.slice(0, 80)}`)
    }
  }
  return [...found]
}

/** Statements in lower case, without comments and with empty literals and bodies. */
function statementsOf(sql: string): readonly string[] {
  return sql
    .replaceAll(/\$(\w*)\$[^]*?\$\1\$|'(?:[^']|'')*'|--[^\n]*|\/\*[^]*?\*\//g, part =>
      /^['$]/.test(part) ? "''" : ' ',
    )
    .split(';')
    .map(statement => statement.trim().replaceAll(/\s+/g, ' ').toLowerCase())
    .filter(statement => statement !== '')
}
