// Runs the compiled tests by tap against one private PostgreSQL of this run.
// npm test [-- FILE ...]; AAAS_REQUIRE=postgres,chromium makes a missing engine a failure instead of a skip.
import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const files = process.argv
  .slice(2)
  .map(name => name.replace(/^(packages\/[^/]+)\/test\/(.*)\.ts$/, '$1/dist/test/$2.js'))
const home = mkdtempSync(join(tmpdir(), 'aaas-test-'))
chmodSync(home, 0o755)
const { startPostgres } = await import('../packages/support-cloud/dist/src/rdbms/index.js')
const { silentLogger, systemClock, systemIds } = await import('../packages/core-cloud/dist/src/kernel/index.js')

const postgres = await startPostgres({
  dataDir: join(home, 'data'),
  socketDir: join(home, 'run'),
  clock: systemClock({ keepAlive: true }),
  ids: systemIds(),
  logger: silentLogger,
})
console.log(`PostgreSQL ${postgres.version} (${postgres.engine}) for this run`)
const tap = join(root, 'node_modules', '@tapjs', 'run', 'dist', 'esm', 'index.js')
const bin = existsSync(tap) ? tap : join(root, 'node_modules', '.bin', 'tap')
const child = spawn(process.execPath, [bin, `--reporter=${process.env.CI ? 'tap' : 'terse'}`, ...files], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, AAAS_TEST_DATABASE_URL: postgres.url },
})
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
const status = await new Promise(resolve => child.once('exit', code => resolve(code ?? 1)))
await postgres[Symbol.asyncDispose]()
rmSync(home, { recursive: true, force: true })
process.exit(status)
