import { test } from 'tap'
import { openConsole } from './console-bench.js'
import { digest } from './memory-center.js'

const pages = [
  '/',
  '/packages',
  '/account',
  '/sites/shop',
  ...['orders', 'stock', 'ledger', 'cloudware', 'keys', 'versions', 'usage', 'logs'].map(
    tab => `/sites/shop?tab=${tab}`,
  ),
  '/sites/shop/orders/20261120-ABCD1234',
]

const operations: readonly (readonly [string, Record<string, string>, string])[] = [
  ['scale', { instances: '3' }, 'scale'],
  ['restart', {}, 'restart'],
  ['maintenance', { on: 'true' }, 'setMaintenance'],
  ['deploy', { version: '1' }, 'deploy'],
  ['rollback', {}, 'rollback'],
  ['add-cloudware', { digest }, 'addCloudware'],
  ['remove-cloudware', { name: 'vip' }, 'removeCloudware'],
  ['adjust-stock', { sku: 'CUP-1', delta: '-2', reason: 'broken' }, 'callSite'],
  ['ship-order', { number: '20261120-ABCD1234', carrier: 'SF', trackingNumber: '1' }, 'callSite'],
  ['complete-order', { number: '20261120-ABCD1234' }, 'callSite'],
  ['refund-order', { number: '20261120-ABCD1234', reason: 'asked' }, 'callSite'],
  ['cancel-order', { number: '20261120-ABCD1234' }, 'callSite'],
]
const administration: readonly (readonly [string, Record<string, string>])[] = [
  ['/sites/shop/create-key', { name: 'erp', requestsPerSecond: '5', scopes: 'order.place' }],
  ['/sites/shop/revoke-key', { keyId: 'k1' }],
  ['/users/create', { name: 'eve', role: 'admin' }],
  ['/users/role', { name: 'viewer', role: 'admin' }],
  ['/users/password', { name: 'admin' }],
  ['/users/remove', { name: 'admin' }],
]

/** Forms of a page besides logout and the change of one's own password. */
function forms(text: string): string[] {
  return [...text.matchAll(/<form method="post" action="([^"]+)"/g)]
    .map(([, action = '']) => action)
    .filter(action => !/^\/(logout|account)/.test(action))
}

test('a viewer sees every page and nothing to press, and is refused everything else', async t => {
  await using console = await openConsole()
  const viewer = await console.as('viewer')
  for (const path of pages) {
    const page = await viewer.get(path)
    t.equal(page.status, 200, path)
    t.same(forms(page.text), [], `${path} has no form`)
  }
  t.same(
    [...new Set(console.calls.map(call => call.actor?.scopes.join()))],
    ['site.read'],
    'calls carry what the role is worth',
  )
  t.notOk(console.calls.some(call => call.method === 'callSite'))
  console.calls.length = 0
  for (const [action, fields] of operations) {
    const page = await viewer.act(`/sites/shop/${action}`, fields)
    t.equal(page.status, 403, action)
    t.match(page.text, /core\.contract\.forbidden/)
  }
  for (const [path, fields] of administration) t.equal((await viewer.act(path, fields)).status, 403, path)
  t.equal((await viewer.get('/users')).status, 403)
  t.same(console.calls, [])
})

test('an operator operates and does not administer', async t => {
  await using console = await openConsole()
  const operator = await console.as('operator')
  for (const path of pages) t.equal((await operator.get(path)).status, 200, path)
  for (const [action, fields, method] of operations) {
    console.calls.length = 0
    const page = await operator.act(`/sites/shop/${action}`, fields)
    t.equal(page.status, 303, action)
    t.match(page.location, /^\/sites\/shop/)
    t.match(console.calls, [{ method, actor: { id: 'operator', scopes: ['site.read', 'site.operate', 'site.write'] } }])
  }
  console.calls.length = 0
  for (const [path, fields] of administration) t.equal((await operator.act(path, fields)).status, 403, path)
  t.equal((await operator.get('/users')).status, 403)
  t.same(console.calls, [])
  const text = (await operator.get('/sites/shop?tab=keys')).text
  t.same(forms(text), [])
  t.notMatch(text, /href="\/users"/)
})

test('what a form says wrongly is named, and nothing is done', async t => {
  await using console = await openConsole()
  const operator = await console.as('operator')
  const wrong: readonly (readonly [string, Record<string, string>, string, number])[] = [
    ['scale', { instances: 'many' }, 'instances', 400],
    ['scale', { instances: '0' }, 'instances', 400],
    ['scale', { instances: '65' }, 'instances', 400],
    ['scale', {}, 'instances', 400],
    ['deploy', { version: '1.5' }, 'version', 400],
    ['maintenance', { on: 'perhaps' }, 'on', 400],
    ['add-cloudware', { digest: 'abc' }, 'digest', 400],
    ['adjust-stock', { sku: 'CUP-1', delta: '', reason: 'x' }, 'delta', 400],
    ['adjust-stock', { sku: 'CUP-1', delta: '1' }, 'reason', 400],
    ['ship-order', { number: '1' }, 'carrier', 400],
    ['format-disk', {}, 'action', 404],
    ['constructor', {}, 'action', 404],
  ]
  console.calls.length = 0
  for (const [action, fields, field, status] of wrong) {
    const page = await operator.act(`/sites/shop/${action}`, fields)
    t.equal(page.status, status, `${action} ${JSON.stringify(fields)}`)
    t.match(page.text, `data-testid="field">${field}<`)
  }
  t.equal((await operator.get('/sites/NO%20SITE')).status, 400)
  t.same(console.calls, [])
})

test('what buyers wrote is shown as text, in both languages', async t => {
  await using console = await openConsole()
  const viewer = await console.as('viewer')
  for (const language of ['en', 'zh-CN']) {
    await viewer.get(`/language/${language}`)
    const orders = await viewer.get('/sites/shop?tab=orders')
    t.match(orders.text, '&lt;b&gt;Li&lt;/b&gt;')
    const order = await viewer.get('/sites/shop/orders/20261120-ABCD1234')
    t.notMatch(order.text, '<script>alert')
    t.match(order.text, language === 'en' ? /Cup/ : /杯子/)
    t.match(order.text, /123\.00/)
  }
})

test('an order offers what its state allows', async t => {
  await using console = await openConsole()
  const operator = await console.as('operator')
  const { text } = await operator.get('/sites/shop/orders/20261120-ABCD1234')
  t.same(forms(text).sort(), ['/sites/shop/refund-order', '/sites/shop/ship-order'])
})

test('a new key is shown on the next page and never again', async t => {
  await using console = await openConsole()
  const admin = await console.as('admin')
  const csrf = await admin.csrf()
  const form: [string, string][] = [
    ['csrf', csrf],
    ['name', 'erp'],
    ['requestsPerSecond', '50'],
    ['scopes', 'order.place'],
    ['scopes', 'order.read'],
  ]
  t.equal((await admin.post('/sites/shop/create-key', form)).location, '/sites/shop?tab=keys')
  const call = console.calls.find(one => one.method === 'callSite')
  t.match(call?.input, {
    method: 'createApiKey',
    input: { name: 'erp', scopes: ['order.place', 'order.read'], requestsPerSecond: 50 },
  })
  t.notMatch(
    (await admin.get('/sites/shop', { 'x-console-refresh': '1' })).text,
    /aaas_k2/,
    'the script does not take it away',
  )
  t.match((await admin.get('/sites/shop?tab=keys')).text, /aaas_k2_shown-once/)
  t.notMatch((await admin.get('/sites/shop?tab=keys')).text, /aaas_k2/)
  await admin.post('/sites/shop/create-key', form)
  await console.clock.pass(60_001)
  t.notMatch((await admin.get('/sites/shop?tab=keys')).text, /aaas_k2/, 'one that nobody fetched is gone')
})
