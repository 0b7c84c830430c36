// The rules of the house that no linter knows: names that say nothing, left-overs, system folders without a port.
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const problems = []
for (const name of readdirSync(join(root, 'packages'))) {
  const src = join(root, 'packages', name, 'src')
  for (const path of readdirSync(src, { recursive: true })) {
    if (!path.endsWith('.ts')) continue
    const place = join('packages', name, 'src', path)
    if (/(^|[/-])(utils?|helpers?|common|misc|manager|base)(\.ts$|\/)/.test(path)) problems.push(`${place}: the name says nothing`)
    const text = readFileSync(join(src, path), 'utf8')
    if (/\b(TODO|FIXME|XXX)\b/.test(text)) problems.push(`${place}: left-over note`)
    if (basename(path) === 'index.ts' && path.split('/').length > 2) problems.push(`${place}: inner barrel`)
    if (/ as any\b|: any\b/.test(text)) problems.push(`${place}: any`)
  }
}
for (const problem of problems) console.error(problem)
process.exit(problems.length === 0 ? 0 : 1)
