// npm run check: what can be said about the code without its tests, and that the guide's snippets do what they say.
// Each step is a line; all run, then the verdict.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const bin = name => join(root, 'node_modules', '.bin', name)
const packages = readdirSync(join(root, 'packages'))
const steps = [
  ['types', process.execPath, ['tools/build.mjs']],
  ['format', bin('biome'), ['ci', '--colors=off', '.']],
  ['lint', bin('eslint'), ['packages']],
  [
    'layers and cycles',
    bin('depcruise'),
    ['--config', '.dependency-cruiser.cjs', ...packages.map(name => `packages/${name}/src`)],
  ],
  ['dead code', bin('knip'), ['--no-progress']],
  ['error page', process.execPath, ['tools/errors-page.mjs', '--check']],
  ['guide', process.execPath, ['tools/guide-snippets.mjs']],
  ['house rules', process.execPath, ['tools/house-rules.mjs']],
  ...packages.map(name => [`package ${name}`, bin('publint'), ['--strict', `packages/${name}`]]),
]
let passed = 0
let failed = 0
for (const [name, command, args] of steps) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  if (status === 0) passed += 1
  else failed += 1
  console.log(`${status === 0 ? 'ok  ' : 'FAIL'} ${name}`)
  if (status !== 0) console.log(`${stdout}${stderr}`.trimEnd())
}
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
