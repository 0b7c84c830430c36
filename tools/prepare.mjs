// Brings a clone to the point where its commands run: installs what package-lock.json names, then compiles.
// Runs with Node alone; does nothing when everything is up to date.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`AaaS needs Node 20.19 or newer; this is ${process.version}.`)
  process.exit(1)
}

const lock = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex')
const stamp = join(root, 'node_modules', '.aaas-installed')
if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== lock) {
  console.log('Installing packages (once, about a minute) ...')
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], 'npm ci failed; its message is above.')
  writeFileSync(stamp, lock)
}
console.log('Building ...')
const started = performance.now()
run(process.execPath, [join(root, 'tools', 'build.mjs')], 'The build failed; its messages are above.')
console.log(`Built in ${((performance.now() - started) / 1000).toFixed(1)} s.`)

function run(command, args, failure) {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32' && command === 'npm',
  })
  if (status === 0) return
  console.error(failure, error?.message ?? '')
  process.exit(status ?? 1)
}
