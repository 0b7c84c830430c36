import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  buildPackage,
  createHookHost,
  defineHook,
  generateSigningKeys,
  inspectPackage,
  type LoadedPackage,
  memoryCloudwareState,
  type RunningHookHost,
  signPackage,
  unpackPackage,
  verifyPackage,
} from '@aaas/core-cloud/cloudware'
import { silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { eventually } from '@aaas/testing'
import { type Test, test } from 'tap'
import { Type } from 'typebox'
import { reasonOf, refusal } from './fixture/host-bench.js'

const examples = fileURLToPath(new URL('../../../../../examples/extend-with-cloudware', import.meta.url))
const input = Type.Any()
const output = Type.Object({ buyer: Type.Any(), quote: Type.Object({ lines: Type.Array(Type.Any()) }) })
const quoteHook = defineHook({ name: 'pricing.quote@1', kind: 'transform', summary: 'Prices.', input, output })
const placeHook = defineHook({ name: 'order.place@1', kind: 'validate', summary: 'Checks.', input })
const paidHook = defineHook({ name: 'order.paid@1', kind: 'on', summary: 'Paid.', input })
const sectionHook = defineHook({ name: 'console.section@1', kind: 'view', summary: 'Shows.', input })

async function bench(
  t: Test,
): Promise<{ readonly host: RunningHookHost; load(folder: string, config?: unknown): Promise<LoadedPackage> }> {
  const root = await mkdtemp(join(tmpdir(), 'cw-example-'))
  const keys = generateSigningKeys()
  const limits = { pingMs: 300, restartFirstMs: 50, memoryCheckMs: 25 }
  const host = createHookHost({
    clock: systemClock(),
    ids: systemIds(),
    logger: silentLogger,
    stateFor: memoryCloudwareState(),
    limits,
  })
  t.teardown(async () => {
    await host[Symbol.asyncDispose]()
    await rm(root, { recursive: true, force: true })
  })
  return {
    host,
    async load(folder, config = {}) {
      const { tarball } = await buildPackage({ dir: join(examples, folder) })
      const signature = signPackage({ tarball, publisher: 'acme', privateKeyPem: keys.privateKeyPem })
      const { ref, packageJson } = verifyPackage({ tarball, signature, trust: { acme: keys.publicKeyPem } })
      const dir = join(root, ref.digest)
      await unpackPackage({ tarball, dir })
      return { ref, packageJson, dir, config }
    },
  }
}

const line = (sku: string, unitAmount: number, quantity: number, adjustments: object[] = []) => ({
  sku,
  quantity,
  unitAmount,
  adjustments,
  amount: 0,
})
const quote = (groups: string[]) => ({
  buyer: { groups },
  quote: {
    currency: 'CNY',
    lines: [line('a', 1_990, 2), line('b', 5, 1), line('c', 1_000, 1, [{ code: 'sale', label: {}, amount: -500 }])],
  },
})

test('the example goes the whole way: built, signed, verified, unpacked, loaded, removed', async t => {
  const { host, load } = await bench(t)
  const vip = await load('.')
  await host.set([vip])
  const priced = await host.transform(quoteHook, quote(['vip']))
  const label = { 'zh-CN': '会员 5% 优惠', en: 'VIP 5 % off' }
  t.same(
    priced.quote.lines.map(({ adjustments }) => adjustments),
    [
      [{ code: 'vip', label, amount: -199 }],
      [],
      [
        { code: 'sale', label: {}, amount: -500 },
        { code: 'vip', label, amount: -25 },
      ],
    ],
  )
  t.same(await host.transform(quoteHook, quote(['staff'])), quote(['staff']))

  const order = (quantity: number, language: string) => ({
    buyer: { groups: [] },
    lines: [
      { sku: 'x', quantity: 1 },
      { sku: 'a', quantity },
      { sku: 'a', quantity: 1 },
    ],
    language,
  })
  await host.validate(placeHook, order(2, 'en'))
  t.match(await refusal(host.validate(placeHook, order(3, 'en'))), {
    code: 'core.cloudware.vetoed',
    message: 'At most 3 of one product per order (a)',
    field: 'lines/1/quantity',
  })
  t.match((await refusal(host.validate(placeHook, order(3, 'zh-CN')))).message, /最多购买 3 件/)

  t.same(host.consumers('order.paid@1'), ['vip-pricing'])
  for (const id of ['e1', 'e2', 'e1']) {
    await host.deliver(paidHook, 'vip-pricing', { id, data: { number: '20261120-A', total: 1_250, currency: 'CNY' } })
  }
  const [english] = await host.views(sectionHook, { language: 'en' })
  t.match(english?.view, {
    title: 'VIP pricing',
    blocks: [{ value: '2' }, { value: 'CN¥25.00' }, { text: 'VIP buyers get 5 % off each line.' }],
  })
  t.match((await host.views(sectionHook, { language: 'zh-CN' }))[0]?.view, {
    title: '会员价',
    blocks: [{ value: '2' }, { value: '¥25.00' }, {}],
  })

  await host.set([{ ...vip, config: { percent: 10, maxPerSku: 9 } }])
  t.match((await host.transform(quoteHook, quote(['vip']))).quote.lines[0]?.adjustments, [{ amount: -398 }])
  await host.validate(placeHook, order(8, 'en'))
  await host.set([])
  t.same(await host.transform(quoteHook, quote(['vip'])), quote(['vip']))
})

test('the example ships its code and its description, nothing else', async t => {
  const { tarball } = await buildPackage({ dir: examples })
  t.same(
    inspectPackage(tarball).files.map(file => file.path),
    ['README.md', 'index.js', 'package.json'],
  )
})

test('the misbehaving examples hurt nobody but themselves, and say what they did', async t => {
  const { host, load } = await bench(t)
  const folders = ['throws', 'throws-closed', 'hangs', 'eats-memory']
  await host.set([await load('.'), ...(await Promise.all(folders.map(name => load(`misbehaving/${name}`))))])
  const expected = (await host.transform(quoteHook, quote(['vip']))).quote.lines[0]?.adjustments
  t.match(expected, [{ amount: -199 }], 'the price is right although three rules fail')
  t.match(await refusal(host.validate(placeHook, { lines: [], language: 'en' })), {
    code: 'core.cloudware.hook-failed',
  })
  t.equal(await reasonOf(host.validate(placeHook, { lines: [], language: 'en' })), 'threw')
  const find = (name: string) => host.status().find(each => each.name === name)
  await eventually(
    'both were restarted',
    () => (find('hangs')?.restarts ?? 0) > 0 && (find('eats-memory')?.restarts ?? 0) > 0,
  )
  t.match(find('hangs'), { lastError: /gave no sign of life/ })
  t.match(find('eats-memory'), { lastError: /MiB of memory; 96 are allowed/ })
  t.match(find('throws'), { lastError: 'pricing.quote@1 this rule always fails', restarts: 0 })
  t.match(find('vip-pricing'), { state: 'ready', restarts: 0, failures: 0 })
})
