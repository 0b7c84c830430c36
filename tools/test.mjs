// Runs the compiled tests (written with tap) as processes of their own, two at a time, against one private PostgreSQL of
// this run. npm test [-- FILE ...]; AAAS_REQUIRE=postgres,chromium makes a missing engine a failure instead of a skip.
// tap's own runner is not used: it preloads a module into every child process a test starts, which the confined
// processes of packages refuse, and it costs about a second of processor time a file.
import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const fileTimeoutMs = 240_000
const jobs = Math.min(4, Math.max(2, availableParallelism()))
const files = process.argv.length > 2 ? process.argv.slice(2).map(compiled) : allTests()

const home = mkdtempSync(join(tmpdir(), 'aaas-test-'))
chmodSync(home, 0o755)
const { startPostgres, systemSearchPath } = await import('../packages/support-cloud/dist/src/rdbms/index.js')
const { silentLogger, systemClock, systemIds } = await import('../packages/core-cloud/dist/src/kernel/index.js')
const postgres = await startPostgres({
  dataDir: join(home, 'data'),
  socketDir: join(home, 'run'),
  clock: systemClock({ keepAlive: true }),
  ids: systemIds(),
  logger: silentLogger,
  searchPath: systemSearchPath(),
})
console.log(`${files.length} files, PostgreSQL ${postgres.version} (${postgres.engine}) for this run`)

const running = new Set()
let stopped = false
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    stopped = true
    for (const child of running) child.kill('SIGTERM')
  })
}
const totals = { pass: 0, fail: 0, skip: 0 }
const failures = []
const queue = [...files]
let done = 0
await Promise.all(
  Array.from({ length: jobs }, async () => {
    for (let file = queue.shift(); file !== undefined && !stopped; file = queue.shift()) report(file, await run(file))
  }),
)
await postgres[Symbol.asyncDispose]()
rmSync(home, { recursive: true, force: true })
for (const { file, output } of failures) console.log(`\n--- ${file}\n${output}`)
console.log(`\n${totals.pass} passed, ${totals.fail} failed${totals.skip > 0 ? `, ${totals.skip} skipped` : ''}`)
process.exit(totals.fail === 0 && failures.length === 0 && !stopped ? 0 : 1)

/** The compiled file of a source file; anything else stays as it is. */
function compiled(name) {
  const path = relative(root, resolve(name))
  return join(root, path.replace(/^(packages\/[^/]+)\/test\/(.*)\.ts$/, '$1/dist/test/$2.js'))
}

/** Compiled tests whose source is still there; the longest-running kinds first, so that they do not end the run alone. */
function allTests() {
  const found = []
  for (const name of readdirSync(join(root, 'packages'))) {
    const sources = join(root, 'packages', name, 'test')
    if (!existsSync(sources)) continue
    for (const path of readdirSync(sources, { recursive: true })) {
      if (path.endsWith('.test.ts'))
        found.push(join(root, 'packages', name, 'dist', 'test', path.replace(/\.ts$/, '.js')))
    }
  }
  const weight = file => (/\/e2e\//.test(file) ? 0 : /\/(deploy|shop|rdbms|cloudware|payment)\//.test(file) ? 1 : 2)
  return found.sort((a, b) => weight(a) - weight(b) || a.localeCompare(b))
}

function run(file) {
  return new Promise(done => {
    const started = performance.now()
    const child = spawn(process.execPath, ['--enable-source-maps', file], {
      cwd: root,
      env: { ...process.env, AAAS_TEST_DATABASE_URL: postgres.url, TAP_TIMEOUT: String(fileTimeoutMs / 1000) },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    running.add(child)
    let output = ''
    const keep = part => {
      output += part
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    const timer = setTimeout(() => child.kill('SIGKILL'), fileTimeoutMs + 10_000)
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      running.delete(child)
      done({ code: code ?? signal, output, seconds: (performance.now() - started) / 1000 })
    })
  })
}

function report(file, { code, output, seconds }) {
  const counts = { pass: 0, fail: 0, skip: 0 }
  const summary =
    /^# \{([^}]*)\}\s*$/m.exec(
      output
        .split('\n')
        .filter(line => line.startsWith('# {'))
        .at(-1) ?? '',
    )?.[1] ?? ''
  for (const [, key, value] of summary.matchAll(/(\w+): (\d+)/g)) if (key in counts) counts[key] = Number(value)
  const skips = [...output.matchAll(/^ *ok \d+ - .* # SKIP ?(.*)$/gim)].map(match => match[1])
  counts.skip = Math.max(counts.skip, skips.length)
  if (summary === '' || (code !== 0 && counts.fail === 0)) counts.fail += 1
  for (const key of Object.keys(totals)) totals[key] += counts[key]
  const name = relative(root, file).replace('/dist/test/', '/test/').replace(/\.js$/, '')
  done += 1
  const good = code === 0 && counts.fail === 0
  if (!good) failures.push({ file: name, output: failedLines(output) })
  console.log(
    `${good ? 'ok  ' : 'FAIL'} ${String(done).padStart(3)}/${files.length} ${name}  ${counts.pass} in ${seconds.toFixed(1)} s${skips.length > 0 ? `  skipped: ${[...new Set(skips)].join('; ')}` : ''}`,
  )
}

/** What failed, with a few lines around; the whole output when nothing says it. */
function failedLines(output) {
  const lines = output.split('\n')
  const wanted = new Set()
  lines.forEach((line, index) => {
    if (!/^ *not ok /.test(line)) return
    for (let near = index; near < Math.min(lines.length, index + 30); near++) wanted.add(near)
  })
  const picked = wanted.size > 0 ? lines.filter((_, index) => wanted.has(index)) : lines.slice(-60)
  return picked.slice(0, 120).join('\n')
}
