import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tap, { test } from 'tap'
import { aaas, errorOf } from './aaas-process.js'

// Some twenty processes of their own; a busy machine needs longer than the default.
tap.setTimeout(120_000)

async function busyPort(): Promise<{ readonly port: string; readonly server: Server }> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: String((server.address() as AddressInfo).port), server }
}

test('a start that cannot work says why, exits with a code, and leaves nothing behind', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'aaas-b-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const home = join(dir, 'home')
  const { port, server } = await busyPort()
  t.teardown(() => server.close())
  const free = { AAAS_HOME: home, AAAS_PORT: '0', AAAS_CONSOLE_PORT: '0' }
  const site = join(dir, 'site')
  t.equal((await aaas(free, 'site', 'new', 'shop', '--dir', site)).code, 0)
  const broken = join(dir, 'broken')
  cpSync(site, broken, { recursive: true })
  const siteFile = JSON.parse(readFileSync(join(site, 'site.json'), 'utf8')) as Record<string, unknown>
  writeFileSync(
    join(broken, 'site.json'),
    JSON.stringify({ ...siteFile, performance: { ordersPerMinute: 'many', p99Ms: 500 } }),
  )

  const starts: readonly (readonly [string, Record<string, string>, string[], number, string, string])[] = [
    ['a port in use', { AAAS_PORT: port }, [], 1, 'core.deploy.port-in-use', 'AAAS_PORT'],
    ['a console port in use', { AAAS_CONSOLE_PORT: port }, [], 1, 'core.deploy.port-in-use', 'AAAS_CONSOLE_PORT'],
    ['a port that is none', { AAAS_PORT: 'http' }, [], 2, 'core.kernel.invalid-config', 'AAAS_PORT'],
    [
      'one port for both',
      { AAAS_PORT: '19999', AAAS_CONSOLE_PORT: '19999' },
      [],
      2,
      'core.kernel.invalid-config',
      'AAAS_CONSOLE_PORT',
    ],
    ['a place that cannot be written', { AAAS_HOME: '/proc/aaas' }, [], 1, 'core.kernel.not-writable', 'AAAS_HOME'],
    [
      'a database that is not there',
      { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' },
      [],
      1,
      'support.rdbms.unavailable',
      '',
    ],
    [
      'a site.json with a wrong field',
      {},
      ['--site', broken],
      2,
      'site.factory.invalid-site',
      'performance/ordersPerMinute',
    ],
    ['a site folder that is not there', {}, ['--site', join(dir, 'none')], 2, 'site.factory.invalid-site', ''],
    ['an option that does not exist', {}, ['--sight', site], 2, 'core.contract.invalid-input', '--sight'],
  ]
  // Side by side, so each has a home of its own: one holds the lock for as long as it tries.
  const homes = starts.map((_, index) => join(dir, `home-${index}`))
  const outcomes = await Promise.all(
    starts.map(([, env, argv], index) =>
      aaas({ ...free, AAAS_HOME: homes[index] as string, ...env }, 'up', '--json', ...argv),
    ),
  )
  for (const [index, [what, env, , code, error, field]] of starts.entries()) {
    const outcome = outcomes[index]
    if (outcome === undefined) throw new Error('an outcome for each')
    t.equal(outcome.code, code, what)
    t.equal(outcome.out, '', `${what}: nothing on standard output`)
    t.match(errorOf(outcome), { code: error, ...(field === '' ? {} : { field }) }, what)
    if (env.AAAS_PORT === port) t.match(errorOf(outcome).message, port)
  }
  t.notOk([home, ...homes].some(existsSync), 'no data directory was made')
})

test('a data directory of a newer version, or with nonsense for one, is left as it is', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'aaas-b-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  for (const [version, exit, code] of [
    ['99\n', 1, 'core.kernel.data-too-new'],
    ['banana\n', 2, 'core.kernel.invalid-config'],
  ] as const) {
    const home = join(dir, `home-${exit}`)
    mkdirSync(home)
    writeFileSync(join(home, 'data-version'), version)
    const env = { AAAS_HOME: home, AAAS_PORT: '0', AAAS_CONSOLE_PORT: '0' }
    const [up, doctor] = await Promise.all([aaas(env, 'up', '--json'), aaas(env, 'doctor', '--json')])
    t.equal(up.code, exit)
    t.match(errorOf(up), { code, field: 'AAAS_HOME' })
    t.same(readdirSync(home), ['data-version'])
    t.equal(readFileSync(join(home, 'data-version'), 'utf8'), version)
    t.equal(doctor.code, 1)
    t.match(JSON.parse(doctor.out), {
      ok: false,
      findings: [{ check: 'node', ok: true }, {}, { check: 'data version', ok: false }],
    })
  }
})

test('doctor names a port in use and a home that cannot be written', async t => {
  const { port, server } = await busyPort()
  t.teardown(() => server.close())
  const { code, out } = await aaas({ AAAS_HOME: '/proc/aaas', AAAS_PORT: port }, 'doctor')
  t.equal(code, 1)
  t.match(out, new RegExp(`FAIL AAAS_PORT: port ${port} is in use; set AAAS_PORT`))
})

test('commands that need a platform say that there is none', async t => {
  const outcome = await aaas({ AAAS_HOME: join(tmpdir(), 'aaas-nowhere') }, 'site', 'ls', '--json')
  t.equal(outcome.code, 1)
  t.match(errorOf(outcome), { code: 'site.center.host-unavailable', message: /aaas up/ })
  t.notOk(existsSync(join(tmpdir(), 'aaas-nowhere')))
})

test('a package that was changed after signing is refused', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'aaas-b-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const env = { AAAS_HOME: join(dir, 'home') }
  const folder = join(dir, 'package')
  mkdirSync(folder)
  writeFileSync(join(folder, 'index.js'), 'export default {}\n')
  const hooks = [{ hook: 'order.place@1', kind: 'validate', failure: 'open', deadlineMs: 200, order: 0 }]
  const manifest = {
    name: 'small',
    version: '1.0.0',
    type: 'module',
    aaas: { kind: 'cloudware', engine: '^0.1.0', entry: 'index.js', hooks },
  }
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ ...manifest, aaas: { ...manifest.aaas, kind: 'toaster' } }),
  )
  const tarball = join(dir, 'small.tgz')
  const bad = await aaas(env, 'package', 'build', folder, '--out', tarball, '--json')
  t.equal(bad.code, 2)
  t.match(errorOf(bad), { code: 'core.cloudware.invalid-manifest', field: /kind/ })
  t.notOk(existsSync(tarball))

  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
  t.equal((await aaas(env, 'package', 'build', folder, '--out', tarball)).code, 0)
  const unsigned = await aaas(env, 'package', 'verify', tarball, '--json')
  t.equal(unsigned.code, 2)
  t.match(errorOf(unsigned), { code: 'core.cloudware.bad-signature', field: 'signature' })
  t.equal((await aaas(env, 'package', 'sign', tarball)).code, 0)
  t.equal((await aaas(env, 'package', 'verify', tarball)).code, 0)
  const bytes = readFileSync(tarball)
  bytes[bytes.length - 20] = (bytes[bytes.length - 20] ?? 0) ^ 1
  writeFileSync(tarball, bytes)
  const tampered = await aaas(env, 'package', 'verify', tarball, '--json')
  t.equal(tampered.code, 2)
  t.match(errorOf(tampered), { code: 'core.cloudware.bad-signature' })
})
