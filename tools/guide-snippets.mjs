// Type-checks and runs the snippets of the guide and the READMEs, so that they stay true: every ```ts block whose first
// line starts with `// runs`. Each gets a process and, in DATABASE_URL, an empty database of its own. Lines ending in
// `// -> text` say what the snippet prints, in order.
import { spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { silentLogger, systemClock, systemIds } from '../packages/core-cloud/dist/src/kernel/index.js'
import { commandLine } from '../packages/site-cloud/dist/src/cli/main.js'
import { SiteFile } from '../packages/site-cloud/dist/src/factory/index.js'
import { shopTemplate } from '../packages/site-cloud/dist/src/shop/index.js'
import { startPostgres } from '../packages/support-cloud/dist/src/rdbms/index.js'
import { openTestDatabase } from '../packages/testing/dist/src/index.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const snippetMs = 30_000
const wanted = process.argv.slice(2)
const snippets = pages()
  .filter(page => wanted.length === 0 || wanted.includes(page))
  .flatMap(snippetsOf)
if (snippets.length === 0) fail('no snippet found')
checkSiteFields()
checkCommands()

// Inside a dist folder nothing else looks at it, and the packages are found from there as from any program.
const dir = join(root, 'packages', 'site-cloud', 'dist', `guide-${process.pid}`)
mkdirSync(dir, { recursive: true })
try {
  if (compile()) await runAll()
} finally {
  rmSync(dir, { recursive: true, force: true })
}

function pages() {
  const guide = readdirSync(join(root, 'docs', 'guide')).map(name => `docs/guide/${name}`)
  const readmes = readdirSync(join(root, 'packages')).map(name => `packages/${name}/README.md`)
  return ['README.md', ...readmes, ...guide].filter(page => page.endsWith('.md') && existsSync(join(root, page)))
}

function snippetsOf(page) {
  const found = []
  const text = readFileSync(join(root, page), 'utf8')
  for (const match of text.matchAll(/^```ts\n(\/\/ runs[^]*?)^```$/gm)) {
    const line = text.slice(0, match.index).split('\n').length
    const code = match[1]
    const prints = [...code.matchAll(/\/\/ -> (.*)$/gm)].map(([, shown]) => shown.trim())
    found.push({ page, line, code, prints, name: `${page.replace(/\W+/g, '-')}-${line}` })
  }
  return found
}

/** The page on site.json is the reference of its fields: none may be missing. */
function checkSiteFields() {
  const page = readFileSync(join(root, 'docs', 'guide', 'site-json.md'), 'utf8')
  for (const [schema, text] of [
    [SiteFile, page],
    [shopTemplate.config, page.slice(page.indexOf('## `config`'))],
  ]) {
    for (const field of fieldsOf(schema)) {
      if (!text.includes(`\`${field}\``)) fail(`docs/guide/site-json.md: nothing about ${field}`)
    }
  }
}

function fieldsOf(schema, path = '') {
  return Object.entries(schema.properties).flatMap(([name, property]) =>
    property.properties === undefined || 'zh-CN' in property.properties
      ? [`${path}${name}`]
      : fieldsOf(property, `${path}${name}.`),
  )
}

/** The page on the command line names every command with its own options. */
function checkCommands() {
  const page = readFileSync(join(root, 'docs', 'guide', 'cli.md'), 'utf8')
  const visit = (command, path) => {
    for (const child of command.commands) visit(child, [...path, child.name()])
    if (command.commands.length > 0) return
    const line = page.split('\n').find(row => row.startsWith('| `') && row.includes(`\`${path.join(' ')}`))
    if (line === undefined) fail(`docs/guide/cli.md: nothing about ${path.join(' ')}`)
    for (const { long } of command.options) {
      if (['--json', '--wait', '--timeout'].includes(long) || line?.includes(long)) continue
      fail(`docs/guide/cli.md: ${path.join(' ')} without ${long}`)
    }
  }
  visit(commandLine({ output: { json: false } }), [])
}

function compile() {
  for (const { name, line, code } of snippets) {
    // Empty lines in front: the compiler then names the line of the page.
    writeFileSync(join(dir, `${name}.ts`), '\n'.repeat(line) + code)
  }
  const compilerOptions = { composite: false, declaration: false, declarationMap: false, rootDir: '.', outDir: '.' }
  const config = { extends: join(root, 'tsconfig.base.json'), compilerOptions, include: ['*.ts'], exclude: [] }
  writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify(config))
  writeFileSync(join(dir, 'package.json'), '{ "type": "module" }')
  const tsc = join(root, 'node_modules', 'typescript-native', 'bin', 'tsc')
  const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', dir], { cwd: dir, encoding: 'utf8' })
  if (status === 0) return true
  let report = stdout
  for (const { name, page } of snippets) report = report.replaceAll(`${name}.ts`, page)
  fail(report.trimEnd())
  return false
}

async function runAll() {
  const home = mkdtempSync(join(tmpdir(), 'aaas-guide-'))
  chmodSync(home, 0o755)
  const options = { clock: systemClock({ keepAlive: true }), ids: systemIds(), logger: silentLogger }
  // A run of the tests names its server; without one we bring our own.
  const postgres =
    process.env.AAAS_TEST_DATABASE_URL === undefined
      ? await startPostgres({ dataDir: join(home, 'data'), socketDir: join(home, 'run'), ...options })
      : undefined
  if (postgres !== undefined) process.env.AAAS_TEST_DATABASE_URL = postgres.url
  try {
    for (const snippet of snippets) {
      const database = await openTestDatabase()
      await run(snippet, database.url)
      await database[Symbol.asyncDispose]()
    }
  } finally {
    await postgres?.[Symbol.asyncDispose]()
    rmSync(home, { recursive: true, force: true })
  }
  if (process.exitCode === undefined) console.log(`${snippets.length} snippets run`)
}

function run({ page, line, name, prints }, databaseUrl) {
  return new Promise(resolve => {
    const environment = { ...process.env, DATABASE_URL: databaseUrl, NO_COLOR: '1' }
    const file = join(dir, `${name}.js`)
    const child = spawn(process.execPath, ['--enable-source-maps', file], {
      cwd: root,
      env: environment,
      timeout: snippetMs,
    })
    let out = ''
    let err = ''
    child.stdout.on('data', chunk => {
      out += chunk
    })
    child.stderr.on('data', chunk => {
      err += chunk
    })
    child.on('close', (code, signal) => {
      const lines = out.trimEnd().split('\n')
      if (code !== 0) fail(`${page}:${line + 1}: ended with ${signal ?? code}\n${err.trimEnd()}`)
      else if (prints.length > 0 && lines.join('\n') !== prints.join('\n'))
        fail(`${page}:${line + 1}: says it prints\n  ${prints.join('\n  ')}\nand prints\n  ${lines.join('\n  ')}`)
      resolve()
    })
  })
}

function fail(text) {
  console.error(text)
  process.exitCode = 1
}
