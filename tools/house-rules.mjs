// The rules of the house that no linter knows: names that say nothing, left-overs, systems without an index, indexes that
// load more than their port, container modules that grew, packages that say nothing about themselves.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const problems = []
for (const name of readdirSync(join(root, 'packages'))) checkPackage(name)
for (const problem of problems) console.error(problem)
process.exit(problems.length === 0 ? 0 : 1)

function checkPackage(name) {
  const home = join(root, 'packages', name)
  const exported = JSON.stringify(JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')).exports)
  if (!existsSync(join(home, 'README.md'))) problems.push(`packages/${name}: no README.md`)
  for (const path of readdirSync(join(home, 'src'), { recursive: true })) {
    if (/\.(d\.ts|js|map)$/.test(path)) problems.push(`packages/${name}/src/${path}: compiled output among sources`)
    if (!path.endsWith('.ts') || path.endsWith('.d.ts')) continue
    checkFile(`packages/${name}/src/${path}`, path)
    const published = /^[^/]+\/((index|module)|[^/]+-suite)\.ts$/.test(path)
    const own = exported.includes(`"./dist/src/${path.replace(/\.ts$/, '.js')}"`)
    if (published && !own && !isPartOfSuite(home, path)) problems.push(`packages/${name}/src/${path}: not in exports`)
  }
  if (name === 'testing') return
  for (const { name: system } of readdirSync(join(home, 'src'), { withFileTypes: true }).filter(at =>
    at.isDirectory(),
  )) {
    if (!existsSync(join(home, 'src', system, 'index.ts'))) problems.push(`packages/${name}/src/${system}: no index.ts`)
  }
}

function checkFile(place, path) {
  const text = readFileSync(join(root, place), 'utf8')
  const code = text.replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, '')
  if (/(^|[/-])(utils?|helpers?|common|misc|manager|base)(\.ts$|\/)/.test(path))
    problems.push(`${place}: the name says nothing`)
  if (/\b(TODO|FIXME|XXX)\b/.test(text)) problems.push(`${place}: left-over note`)
  if (/ as any\b|: any\b/.test(code)) problems.push(`${place}: any`)
  if (basename(path) === 'index.ts') {
    if (path.split('/').length > 2) problems.push(`${place}: inner barrel`)
    if (/from '\.\/([^']+-suite|module)\.js'/.test(code)) problems.push(`${place}: loads a suite or a container module`)
  }
  if (basename(path) === 'module.ts' && text.split('\n').length > 41) problems.push(`${place}: over 40 lines`)
}

/** A suite that another suite of its system runs or re-exports needs no export of its own. */
function isPartOfSuite(home, path) {
  const [system, file] = path.split('/')
  if (!file.endsWith('-suite.ts')) return false
  return readdirSync(join(home, 'src', system)).some(
    other =>
      other.endsWith('-suite.ts') &&
      other !== file &&
      readFileSync(join(home, 'src', system, other), 'utf8').includes(`'./${file.replace(/\.ts$/, '.js')}'`),
  )
}
