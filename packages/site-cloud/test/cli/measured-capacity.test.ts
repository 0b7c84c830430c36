import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'tap'
import { platformHome } from '../../src/cli/platform-home.js'
import { capacityFile, platformTemplates } from '../../src/cli/platform-templates.js'
import { postgresCpuMs } from '../../src/cli/process-meter.js'
import { lacking } from '../../src/cli/push-site.js'
import { shopTemplate } from '../../src/shop/index.js'
import { planCapacity } from '../../src/template/index.js'
import { aaasHere, errorOf } from './aaas-process.js'

const { measuredOn, cores, ...figures } = shopTemplate.capacity
const provenance = {
  date: '2026-01-02T03:04:05.000Z',
  node: '20.19.0',
  postgres: '15.1',
  cores,
  cpu: 'Model X',
  loadBefore: [0],
  seconds: 3,
  rounds: 1,
  ordersPerSecond: [1],
  readsPerSecond: [1],
  databaseConnections: 4,
}

async function withCapacity<T>(text: string, work: (home: string) => Promise<T> | T): Promise<T> {
  const home = mkdtempSync(join(tmpdir(), 'aaas-t-'))
  const file = capacityFile(platformHome({ AAAS_HOME: home }), 'shop')
  mkdirSync(join(file, '..'))
  writeFileSync(file, text)
  try {
    return await work(home)
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}

const measuredHere = (version: string): string =>
  JSON.stringify({
    template: { name: 'shop', version },
    provenance,
    figures: { ...figures, ordersPerSecond: 7, readsPerSecond: 70 },
  })

test('the shop is shipped with figures that say when and on what they were measured', async t => {
  t.match(measuredOn, /^measured \d{4}-\d\d-\d\d on \d+ x .+, Node [\d.]+, PostgreSQL [\d.]+/)
})

test('a platform plans with what was measured on its own machine, for the same version of the template', async t => {
  await withCapacity(measuredHere(shopTemplate.version), async home => {
    const [shop] = platformTemplates(platformHome({ AAAS_HOME: home }))
    t.match(shop?.capacity, {
      ordersPerSecond: 7,
      readsPerSecond: 70,
      measuredOn: /^measured 2026-01-02 on .* Model X/,
    })
    const { out } = await aaasHere(home, 'template', 'ls')
    t.match(JSON.parse(out), [{ name: 'shop', capacity: { ordersPerSecond: 7 } }])
  })
  await withCapacity(measuredHere('0.9.0'), home => {
    t.same(platformTemplates(platformHome({ AAAS_HOME: home })), [shopTemplate])
  })
})

test('a file of figures that is broken is named and nothing is planned', async t => {
  await withCapacity('{', async home => {
    const outcome = await aaasHere(home, 'template', 'ls')
    t.equal(outcome.code, 1)
    t.match(errorOf(outcome), { code: 'site.template.invalid-capacity', message: /capacity\/shop\.json/ })
  })
})

test('what cannot be measured is refused before anything is started', async t => {
  const unknown = await aaasHere('/nowhere', 'template', 'measure', 'bakery')
  t.match(errorOf(unknown), { code: 'site.template.unknown', field: 'name' })
  for (const [flag, value] of [
    ['--seconds', '61'],
    ['--seconds', '0'],
    ['--rounds', '0'],
    ['--p99-ms', 'fast'],
  ] as const) {
    const outcome = await aaasHere('/nowhere', 'template', 'measure', 'shop', flag, value)
    t.equal(outcome.code, 2, `${flag} ${value}`)
    t.equal(errorOf(outcome).field, flag)
  }
  for (const file of ['/proc/figures.json', '/etc/passwd/figures.json', '/tmp']) {
    const outcome = await aaasHere('/nowhere', 'template', 'measure', 'shop', '--write', file)
    t.match(errorOf(outcome), { code: 'core.kernel.not-writable', field: '--write' }, file)
  }
  t.throws(() => postgresCpuMs('/nowhere'))
})

test('a machine with too few processors for a plan is told so', async t => {
  const plan = { ...planCapacity({ ordersPerMinute: 60, p99Ms: 400 }, shopTemplate.capacity), cores: 1.2 }
  t.same(lacking(plan, 2), [])
  t.match(lacking({ ...plan, cores: 1.21 }, 2), [/wants 3 processors, so that 1.21 .* this machine has 2/])
})
