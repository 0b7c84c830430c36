import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import tap, { type Test, test } from 'tap'
import { type RunningPlatformProcess, startPlatformProcess } from '../e2e/running-platform.js'
import { aaas, aaasHere, errorOf, type Outcome, startAaas } from './aaas-process.js'

const vip = fileURLToPath(new URL('../../../../../examples/extend-with-cloudware', import.meta.url))

// Above what a busy machine needs; each wait inside has its own limit.
tap.setTimeout(180_000)

// One platform for all: starting one takes longer than everything that is asked of it here.
test('the command line and the APIs of a running platform', { timeout: 170_000 }, async t => {
  await using platform = await startPlatformProcess()
  const env = { AAAS_HOME: platform.home, AAAS_PORT: '0', AAAS_CONSOLE_PORT: '0' }
  await t.test('bad input has a code, a field and an exit code', t => refusals(t, platform))
  await t.test('a second platform on the same data is refused', async t => {
    const outcome = await aaas(env, 'up', '--json')
    t.equal(outcome.code, 1)
    t.match(errorOf(outcome), { code: 'core.deploy.already-running', field: 'AAAS_HOME' })
    t.equal((await aaas(env, 'doctor', '--json')).code, 0)
  })
  await t.test('scaling waits for the instances; Ctrl-C ends the wait and nothing else', t => scaling(t, platform, env))
  await t.test('a changed package is refused by the upload', t => uploads(t, platform))
  await t.test('cloudware is waited for, coming and going', t => cloudware(t, platform))
  await t.test('the open API names what is wrong', t => openApi(t, platform))
  await t.test('control, host and instances have metrics, for the token of the metrics only', t => metrics(t, platform))
  await t.test('followed logs end by Ctrl-C', async t => {
    const follow = startAaas(env, 'site', 'logs', 'shop', '--follow', '--json')
    await follow.said('catalogue')
    follow.child.kill('SIGINT')
    const { code, out } = await follow.ended
    t.equal(code, 0)
    for (const line of out.trim().split('\n')) t.ok((JSON.parse(line) as { at: number }).at > 0)
  })
  await t.test('a killed database comes back, and the site with it', t => databaseKilled(t, platform))
})

function commandsOn(platform: RunningPlatformProcess): (...argv: string[]) => Promise<Outcome> {
  return (...argv) => aaasHere(platform.home, ...argv)
}

async function refusals(t: Test, platform: RunningPlatformProcess): Promise<void> {
  const cli = commandsOn(platform)
  const broken = join(platform.home, 'broken')
  cpSync(join(platform.home, 'sample'), broken, { recursive: true })
  const siteFile = JSON.parse(readFileSync(join(broken, 'site.json'), 'utf8')) as Record<string, unknown>
  const config = { ...(siteFile.config as object), languages: 'zh-CN' }
  writeFileSync(join(broken, 'site.json'), JSON.stringify({ ...siteFile, config }))
  const table: readonly (readonly [string[], number, string, string | undefined])[] = [
    [['site', 'status', 'shp'], 1, 'site.center.unknown-site', 'site'],
    [['site', 'status', 'NO SITE'], 2, 'core.contract.invalid-input', 'site'],
    [['site', 'scale', 'shop', 'many'], 2, 'core.contract.invalid-input', 'instances'],
    [['site', 'scale', 'shop', '65'], 2, 'core.contract.invalid-input', 'instances'],
    [['site', 'maintenance', 'shop', 'maybe'], 2, 'core.contract.invalid-input', 'state'],
    [['site', 'deploy', 'shop', '--version', '99'], 1, 'site.center.unknown-version', 'version'],
    [['site', 'rollback', 'shop'], 1, 'site.center.conflict', undefined],
    [['site', 'push', broken], 2, 'site.factory.invalid-site', 'config/languages'],
    [['site', 'push', broken, '--wait'], 2, 'core.contract.invalid-input', '--wait'],
    [['site', 'new', 'Tea House'], 2, 'core.contract.invalid-input', 'name'],
    [['site', 'new', 'shop', '--dir', broken], 1, 'site.center.conflict', 'dir'],
    [['site', 'logs', 'shop', '--level', 'loud'], 2, 'core.contract.invalid-input', '--level'],
    [['site', 'sale', 'shop'], 2, 'core.contract.invalid-input', 'sale'],
    [['site'], 2, 'core.contract.invalid-input', undefined],
    [['cloudware', 'add', 'shop', '/nowhere'], 2, 'core.cloudware.invalid-package', 'package'],
    [['cloudware', 'add', 'shop', vip, '--config', '{'], 2, 'core.contract.invalid-input', '--config'],
    [
      ['cloudware', 'add', 'shop', vip, '--config', '{"percent":500}'],
      2,
      'core.kernel.invalid-config',
      'config/percent',
    ],
    [['cloudware', 'remove', 'shop', 'vip-pricing'], 1, 'site.center.unknown-cloudware', 'name'],
    [['api-key', 'create', 'shop'], 2, 'core.contract.invalid-input', '--name'],
    [['api-key', 'create', 'shop', '--name', 'x', '--scope', 'A B'], 2, 'core.contract.invalid-input', 'scopes/0'],
  ]
  const before = (await cli('site', 'status', 'shop')).out
  for (const [argv, code, error, field] of table) {
    const outcome = await cli(...argv)
    t.equal(outcome.code, code, argv.join(' '))
    t.equal(outcome.out, '')
    t.match(errorOf(outcome), { code: error, ...(field === undefined ? {} : { field }) }, argv.join(' '))
  }
  const wanted = (text: string): unknown => {
    const { version, wantedInstances, maintenance, cloudware } = JSON.parse(text) as Record<string, unknown>
    return { version, wantedInstances, maintenance, cloudware }
  }
  t.same(wanted((await cli('site', 'status', 'shop')).out), wanted(before), 'nothing was changed')
  t.match((await cli('site', 'status', 'shp')).error, /did you mean 'shop'/)
}

async function scaling(
  t: Test,
  platform: RunningPlatformProcess,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const cli = commandsOn(platform)
  const { code, out } = await cli('site', 'scale', 'shop', '1', '--wait')
  t.equal(code, 0)
  t.match(JSON.parse(out), { site: 'shop', settled: true, wantedInstances: 1 })
  const waiting = startAaas(env, 'site', 'restart', 'shop', '--wait')
  await waiting.said('version 1 serving')
  waiting.child.kill('SIGINT')
  const stopped = await waiting.ended
  t.equal(stopped.code, 130)
  t.match(stopped.error, /stopped waiting; the platform goes on/)
  const late = await cli('site', 'restart', 'shop', '--wait')
  t.equal(late.code, 0)
}

async function uploads(t: Test, platform: RunningPlatformProcess): Promise<void> {
  const cli = commandsOn(platform)
  const tarball = join(platform.home, 'vip.tgz')
  t.equal((await cli('package', 'build', vip, '--out', tarball)).code, 0)
  t.equal((await cli('package', 'sign', tarball)).code, 0)
  t.equal((await cli('package', 'verify', tarball)).code, 0)
  const bytes = readFileSync(tarball)
  bytes[100] = (bytes[100] ?? 0) ^ 1
  writeFileSync(tarball, bytes)
  const outcome = await cli('cloudware', 'add', 'shop', tarball)
  t.equal(outcome.code, 2)
  t.equal(errorOf(outcome).code, 'core.cloudware.bad-signature')
  t.notMatch((await cli('package', 'ls')).out, /"name":"vip-pricing","version":"9/)
}

async function cloudware(t: Test, platform: RunningPlatformProcess): Promise<void> {
  const cli = commandsOn(platform)
  const added = await cli('cloudware', 'add', 'shop', vip, '--wait')
  t.equal(added.code, 0, added.error)
  t.match(JSON.parse(added.out), {
    cloudware: [
      { name: 'vip-pricing', wanted: true, config: { percent: 5, maxPerSku: 3 }, instances: [{ state: 'ready' }] },
    ],
  })
  t.match(JSON.parse(added.out), { lock: [{ name: 'site-shop' }, { name: 'vip-pricing', version: '1.0.0' }] })
}

/** Requests to the site's open API, through the edge. */
async function openApi(t: Test, platform: RunningPlatformProcess): Promise<void> {
  const cli = commandsOn(platform)
  const base = `http://127.0.0.1:${platform.edgePort}/s/shop/api`
  const key = async (...argv: string[]): Promise<string> =>
    (JSON.parse((await cli('api-key', 'create', 'shop', '--name', 'test', ...argv)).out) as { apiKey: string }).apiKey
  const [place, read, slow] = [await key(), await key('--scope', 'order.read'), await key('--rate', '1')]
  const post = (body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${base}/orders`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${place}`,
        'content-type': 'application/json',
        'idempotency-key': `k-${JSON.stringify(body).length}`,
        ...headers,
      },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
  const address = { name: 'Li Lei', phone: '13800000000', region: 'Shanghai', line: '1 Nanjing Road' }
  const order = (sku: string, quantity: number): object => ({ lines: [{ sku, quantity }], address, language: 'en' })
  const [plenty, scarce] = await skus(platform)
  const cases: readonly (readonly [string, Promise<Response>, number, string, string | undefined])[] = [
    ['a wrong quantity', post(order(plenty, 0)), 400, 'core.contract.invalid-input', 'lines/0/quantity'],
    [
      'a missing address',
      post({ lines: [{ sku: plenty, quantity: 1 }], language: 'en' }),
      400,
      'core.contract.invalid-input',
      'address',
    ],
    ['a field nobody knows', post({ ...order(plenty, 1), gift: true }), 400, 'core.contract.invalid-input', 'gift'],
    ['no JSON', post('{'), 400, 'core.contract.invalid-input', undefined],
    ['no key', post(order(plenty, 1), { authorization: '' }), 401, 'site.open-api.invalid-key', 'authorization'],
    [
      'a wrong key',
      post(order(plenty, 1), { authorization: `Bearer ${place.slice(0, -4)}aaaa` }),
      401,
      'site.open-api.invalid-key',
      'authorization',
    ],
    [
      'a key without the scope',
      post(order(plenty, 1), { authorization: `Bearer ${read}` }),
      403,
      'core.contract.forbidden',
      undefined,
    ],
    ['an unknown SKU', post(order('NO-SUCH', 1)), 404, 'business.catalogue.unknown-product', undefined],
    [
      'a path of no method',
      fetch(`${base}/nothing`, { headers: { authorization: `Bearer ${read}` } }),
      404,
      'core.contract.unknown-method',
      undefined,
    ],
    [
      'a wrong verb',
      fetch(`${base}/orders`, { method: 'DELETE', headers: { authorization: `Bearer ${place}` } }),
      405,
      'core.contract.method-not-allowed',
      undefined,
    ],
    ['more than there is', post(order(scarce, 3)), 409, 'business.inventory.sold-out', undefined],
    ['a large body', post('x'.repeat(300_000)), 413, 'core.contract.payload-too-large', undefined],
    [
      'no JSON type',
      post(order(plenty, 1), { 'content-type': 'text/plain' }),
      415,
      'core.contract.unsupported-media-type',
      undefined,
    ],
    ['what cloudware refuses', post(order(plenty, 4)), 422, 'core.cloudware.vetoed', undefined],
  ]
  for (const [what, answer, status, code, field] of cases) {
    const response = await answer
    const body = (await response.json()) as { error: { code: string; field?: string } }
    t.equal(response.status, status, `${what}: ${JSON.stringify(body).slice(0, 300)}`)
    t.match(body.error, { code, ...(field === undefined ? {} : { field }) }, what)
  }
  const rapid = await Promise.all(
    Array.from({ length: 4 }, () => fetch(`${base}/products`, { headers: { authorization: `Bearer ${slow}` } })),
  )
  const refused = rapid.find(response => response.status === 429)
  t.ok(Number(refused?.headers.get('retry-after')) >= 1, rapid.map(response => response.status).join())
  const removed = await cli('cloudware', 'remove', 'shop', 'vip-pricing', '--wait')
  t.equal(removed.code, 0, removed.error)
  t.same((JSON.parse(removed.out) as { cloudware: unknown[] }).cloudware, [])
}

async function metrics(t: Test, { home }: RunningPlatformProcess): Promise<void> {
  const token = (name: string): string => readFileSync(join(home, 'secrets', name), 'utf8').trim()
  const endpoint = JSON.parse(readFileSync(join(home, 'endpoint.json'), 'utf8')) as Record<string, number>
  const scrape = async (port: number | undefined, bearer: string): Promise<Response> =>
    await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { authorization: `Bearer ${bearer}` } })
  for (const port of [endpoint.consolePort, endpoint.metricsPort])
    t.equal((await scrape(port, token('cli-token'))).status, 401)
  const control = await (await scrape(endpoint.consolePort, token('metrics-token'))).text()
  t.match(control, /^process_resident_memory_bytes \d+$/m)
  t.match(control, /^aaas_calls_total\{contract="site.center",.*surface="http",code="ok"\} \d+$/m)
  const host = await (await scrape(endpoint.metricsPort, token('metrics-token'))).text()
  t.match(host, /^process_resident_memory_bytes \d+$/m)
  for (const site of ['shop', 'payment', 'simulator']) {
    t.match(host, new RegExp(`^aaas_instance_up\\{site="${site}",site_instance="[^"]+"\\} 1$`, 'm'))
    t.match(host, new RegExp(`^aaas_bus_direct_peers\\{site="${site}",[^}]*\\} [1-9]`, 'm'), `${site} knows others`)
  }
  t.match(host, /^aaas_calls_total\{site="shop",[^}]*surface="bus",code="ok"\} \d+$/m)
}

/** A SKU with plenty on the shelf, and one with two. */
async function skus(platform: RunningPlatformProcess): Promise<readonly [string, string]> {
  const token = readFileSync(join(platform.home, 'secrets/cli-token'), 'utf8').trim()
  const answer = await fetch(`http://127.0.0.1:${platform.consolePort}/api/sites/shop/query`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ contract: 'business.inventory', method: 'levels', input: { limit: 200 } }),
  })
  const { output } = (await answer.json()) as { output: { levels: { sku: string; available: number }[] } }
  const find = (fits: (available: number) => boolean): string =>
    output.levels.find(level => fits(level.available))?.sku ?? 'none'
  return [find(available => available > 50), find(available => available > 0 && available < 3)]
}

async function databaseKilled(t: Test, platform: RunningPlatformProcess): Promise<void> {
  const cli = commandsOn(platform)
  const lockFile = join(platform.home, 'postgres/postmaster.pid')
  const before = Number(readFileSync(lockFile, 'utf8').split('\n')[0])
  process.kill(before, 'SIGKILL')
  const deadline = performance.now() + 30_000
  let ok = false
  while (!ok && performance.now() < deadline) {
    // Each look waits for an answer of the site's own database: no sleep is needed between them.
    const outcome = await cli('api-key', 'ls', 'shop')
    ok = outcome.code === 0 && Number(readFileSync(lockFile, 'utf8').split('\n')[0]) !== before
  }
  t.ok(ok, 'the site reads its database again')
  t.not(Number(readFileSync(lockFile, 'utf8').split('\n')[0]), before)
}
