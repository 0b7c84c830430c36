import { test } from 'tap'
import { adminPassword, openConsole } from './console-bench.js'

test('nobody sees a page without a login, and the login leads back', async t => {
  await using console = await openConsole()
  const visitor = console.visitor()
  for (const path of [
    '/',
    '/packages',
    '/users',
    '/account',
    '/sites/shop?tab=orders',
    '/sites/shop/orders/20261120-ABCD1234',
    '/data/metrics.json',
    '/nothing',
  ]) {
    const page = await visitor.get(path)
    t.equal(page.status, 303, path)
    t.equal(page.location, `/login?next=${encodeURIComponent(path)}`)
  }
  t.equal((await visitor.post('/sites/shop/restart', {})).status, 303)
  t.same(console.calls, [], 'the site centre was not asked anything')
  const wrong = await visitor.login('admin', 'wrong')
  t.equal(wrong.status, 401)
  t.match(wrong.text, /name or password is wrong/)
  const right = await visitor.post('/login', { name: 'admin', password: adminPassword, next: '/sites/shop?tab=orders' })
  t.equal(right.status, 303)
  t.equal(right.location, '/sites/shop?tab=orders')
  t.match(
    right.headers.get('set-cookie'),
    /^aaas_console_session=[a-z2-7]{50,}; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/,
  )
  t.equal((await visitor.get('/')).status, 200)
  t.equal((await visitor.get('/nothing')).status, 404)
  t.match(console.audit, [{ actor: 'admin', action: 'console.login' }])
})

test('the login leads to pages of this console only', async t => {
  await using console = await openConsole()
  for (const next of [
    'https://evil.test/',
    '//evil.test/',
    '/\\evil.test',
    '/\t/evil.test',
    'javascript:alert(1)',
    '',
    `/${'a'.repeat(3_000)}`,
  ]) {
    const page = await console.visitor().post('/login', { name: 'admin', password: adminPassword, next })
    t.equal(page.location, '/', JSON.stringify(next.slice(0, 30)))
    t.equal((await console.visitor().get(`/language/en?next=${encodeURIComponent(next)}`)).location, '/')
  }
})

test('a cookie behind TLS is sent over TLS only', async t => {
  await using console = await openConsole()
  const page = await console
    .visitor()
    .post('/login', { name: 'admin', password: adminPassword }, { 'x-forwarded-proto': 'https' })
  t.match(page.headers.get('set-cookie'), /; Secure/)
})

test('every answer forbids what the console does not need', async t => {
  await using console = await openConsole()
  const visitor = console.visitor()
  for (const path of ['/login', '/', '/nothing']) {
    const { headers } = await visitor.get(path)
    const policy = headers.get('content-security-policy') ?? ''
    t.match(policy, /default-src 'none'.*form-action 'self'.*frame-ancestors 'none'/)
    t.notMatch(policy, /unsafe/)
    t.equal(headers.get('x-content-type-options'), 'nosniff')
    t.equal(headers.get('cache-control'), 'no-store')
  }
  const [, asset = ''] = /href="(\/assets\/[^"]+console\.css)"/.exec((await visitor.get('/login')).text) ?? []
  const answer = await visitor.get(asset)
  t.equal(answer.status, 200)
  t.match(answer.headers.get('cache-control'), /immutable/)
  t.equal((await visitor.get('/assets/0000000000/console.css')).status, 404, 'another hash is no asset')
})

test('ten tries lock a name, many at once too, for fifteen minutes; other names and open sessions go on', async t => {
  await using console = await openConsole()
  const inside = await console.as('operator')
  const visitor = console.visitor()
  const tries = await Promise.all(Array.from({ length: 14 }, () => visitor.login('operator', 'wrong')))
  t.equal(tries.filter(page => page.status === 401).length, 10)
  const late = tries.filter(page => page.status === 429)
  t.equal(late.length, 4)
  t.equal(late[0]?.headers.get('retry-after'), '900')
  t.equal((await visitor.login('operator', 'password of operator')).status, 429, 'the right password does not help')
  t.equal((await inside.get('/')).status, 200)
  t.equal((await visitor.login('admin', adminPassword)).status, 303)
  await console.clock.pass(15 * 60_000)
  t.equal((await console.visitor().login('operator', 'password of operator')).status, 303)
})

test('an unknown name is told the same as a wrong password', async t => {
  await using console = await openConsole()
  const [unknown, known] = [await console.visitor().login('nobody', 'x'), await console.visitor().login('admin', 'x')]
  t.equal(unknown.status, known.status)
  t.equal(unknown.text.replaceAll('nobody', 'admin'), known.text)
})

test('a session ends after twelve hours and at the logout', async t => {
  await using console = await openConsole()
  const visitor = await console.as('admin')
  await console.clock.pass(12 * 3_600_000 - 1)
  t.equal((await visitor.get('/')).status, 200)
  await console.clock.pass(2)
  t.equal((await visitor.get('/')).status, 303)
  await visitor.login('admin', adminPassword)
  t.equal((await visitor.post('/logout', { csrf: 'wrong' })).status, 403, 'nobody else logs a person out')
  t.equal((await visitor.get('/')).status, 200)
  const page = await visitor.act('/logout')
  t.equal(page.location, '/login')
  t.equal((await visitor.get('/')).status, 303)
})

test('a form needs the token of its session and must come from a page of the console', async t => {
  await using console = await openConsole()
  const visitor = await console.as('operator')
  const csrf = await visitor.csrf()
  console.calls.length = 0
  const forged = [
    await visitor.post('/sites/shop/restart', {}),
    await visitor.post('/sites/shop/restart', { csrf: 'x'.repeat(csrf.length) }),
    await visitor.post('/sites/shop/restart', { csrf: await (await console.as('admin')).csrf() }),
    await visitor.post('/sites/shop/restart', { csrf }, { origin: 'https://evil.test' }),
    await visitor.post('/sites/shop/restart', { csrf }, { origin: 'null' }),
    await visitor.post('/sites/shop/restart', { csrf }, { 'sec-fetch-site': 'cross-site' }),
    await visitor.post('/login', { name: 'admin', password: adminPassword }, { origin: 'https://evil.test' }),
  ]
  for (const page of forged) {
    t.equal(page.status, 403)
    t.match(page.text, /site\.console\.csrf/)
  }
  t.equal((await visitor.post('/sites/shop/restart', { csrf }, { 'content-type': 'text/plain' })).status, 415)
  t.equal((await visitor.post('/sites/shop/restart', { csrf, more: 'x'.repeat(70_000) })).status, 413)
  t.same(
    console.calls.filter(call => call.method === 'restart'),
    [],
  )
  t.equal((await visitor.post('/sites/shop/restart', { csrf }, { 'sec-fetch-site': 'same-origin' })).status, 303)
})

test('pages speak the language of the browser, or the one a person chose', async t => {
  await using console = await openConsole()
  const visitor = console.visitor()
  t.match(
    (await visitor.get('/login', { 'accept-language': 'zh-CN,zh;q=0.9,en;q=0.8' })).text,
    /<html lang="zh-CN">[^]*登录/,
  )
  t.match((await visitor.get('/login', { 'accept-language': 'fr, en;q=0.5' })).text, /<html lang="en">/)
  t.equal((await visitor.get('/language/zh-CN?next=/login')).location, '/login')
  t.match((await visitor.get('/login', { 'accept-language': 'en' })).text, /<html lang="zh-CN">/)
})
