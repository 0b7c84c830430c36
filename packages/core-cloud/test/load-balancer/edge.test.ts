import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:net'
import { silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { createEdge } from '@aaas/core-cloud/load-balancer'
import { test } from 'tap'
import { call, openEdge, readAll, sendRaw } from './edge-fixture.js'

test('a site answers by host name and below its path; what the edge knows replaces what the client claims', async t => {
  await using fixture = await openEdge()
  const { edge } = fixture
  const seen: IncomingMessage[] = []
  const one = await fixture.instance('one', (request, response) => {
    seen.push(request)
    response.setHeader('set-cookie', ['a=1', 'b=2'])
    response.setHeader('connection', 'keep-alive, x-hop')
    response.setHeader('x-hop', 'for the edge only')
    response.end(`${request.method} ${request.url}`)
  })
  fixture.route([one])
  const claims = {
    'x-forwarded-for': '1.1.1.1',
    'x-forwarded-prefix': '/evil',
    'x-forwarded-host': 'evil',
    'x-request-id': 'mine',
    forwarded: 'for=evil',
    'x-real-ip': 'evil',
    connection: 'x-secret, keep-alive',
    'x-secret': 'hop',
    te: 'trailers',
    cookie: 'sid=1; aaas_console=top; aaas_console_csrf=x; lang=zh',
  }
  const byHost = await call(edge, { path: '/product/1?x=%2F', host: `SHOP.localhost:${edge.port}`, headers: claims })
  t.equal(byHost.body, 'GET /product/1?x=%2F')
  t.strictSame(byHost.headers['set-cookie'], ['a=1', 'b=2'])
  t.notOk(byHost.headers['x-hop'])
  t.match(byHost.headers['x-request-id'], /^[a-z2-7]+-\w+$/)
  const first = seen[0]?.headers ?? {}
  t.equal(first.cookie, 'sid=1; lang=zh')
  t.equal(first['x-forwarded-for'], '127.0.0.1')
  t.equal(first['x-forwarded-host'], `SHOP.localhost:${edge.port}`)
  t.equal(first['x-forwarded-proto'], 'http')
  t.equal(first['x-request-id'], byHost.headers['x-request-id'])
  for (const name of ['x-forwarded-prefix', 'forwarded', 'x-real-ip', 'x-secret', 'te']) t.notOk(first[name], name)

  const byPath = await call(edge, {
    path: '/s/shop/product/1?x=1',
    host: '127.0.0.1',
    headers: { cookie: 'aaas_console=top' },
  })
  t.equal(byPath.body, 'GET /product/1?x=1')
  t.equal(seen[1]?.headers['x-forwarded-prefix'], '/s/shop')
  t.notOk(seen[1]?.headers.cookie)
  const bare = await call(edge, { path: '/s/shop?x=1', host: 'elsewhere' })
  t.strictSame([bare.status, bare.headers.location], [308, '/s/shop/?x=1'])
  t.equal((await call(edge, { path: '/s/shop/x' })).body, 'GET /s/shop/x', 'at its own host name the path is its own')
})

test('names that nobody answers for get a page that says nothing', async t => {
  await using fixture = await openEdge()
  const { edge } = fixture
  const one = await fixture.instance('one', (_, response) => response.end('shop'))
  fixture.route([one])
  const landing = await call(edge, { host: 'elsewhere', headers: { accept: 'text/html' } })
  t.equal(landing.status, 200)
  t.notMatch(landing.body, /shop/)
  for (const path of ['/admin', '/s/', '/s/other/', '/s/sho', '/S/shop/', '/s/%73hop/']) {
    t.equal((await call(edge, { host: 'elsewhere', path })).status, 404, path)
  }
  const json = await call(edge, { host: 'elsewhere', path: '/x' })
  t.match(JSON.parse(json.body), { code: 'core.load-balancer.unknown-site', retryable: false })
})

test('bodies of every kind arrive as they were sent', async t => {
  await using fixture = await openEdge()
  const one = await fixture.instance('one', async (request, response) => {
    const body = await readAll(request)
    response.end(
      JSON.stringify({
        length: body.length,
        same: body === 'x'.repeat(body.length),
        te: request.headers['transfer-encoding'],
      }),
    )
  })
  fixture.route([one])
  for (const length of [0, 1, 65_536, 65_537, 3_000_000]) {
    const body = 'x'.repeat(length)
    const whole = JSON.parse(
      (await call(fixture.edge, { method: 'POST', body, headers: { 'content-length': length } })).body,
    )
    t.match(whole, { length, same: true }, `content-length ${length}`)
    const chunked = JSON.parse(
      (await call(fixture.edge, { method: 'POST', body, headers: { 'transfer-encoding': 'chunked' } })).body,
    )
    t.match(chunked, { length, same: true }, `chunked ${length}`)
  }
  const expecting = { method: 'POST', body: 'xx', headers: { expect: '100-continue', 'content-length': 2 } }
  t.match(JSON.parse((await call(fixture.edge, expecting)).body), { length: 2 })
})

test('answers of every kind arrive as they were given', async t => {
  await using fixture = await openEdge({ limits: { bufferBytes: 10_000 } })
  const long = 'y'.repeat(2_000_000)
  const one = await fixture.instance('one', (request, response) => {
    if (request.url === '/none') response.writeHead(204).end()
    else if (request.url === '/not-modified') response.writeHead(304, { etag: '"1"' }).end()
    else if (request.url === '/long') response.writeHead(200, { 'content-length': long.length }).end(long)
    else if (request.url === '/chunked') {
      response.write('a')
      response.end(long)
    } else if (request.url === '/empty') response.end()
    else if (request.url === '/binary') response.end(Buffer.from([0, 128, 255, 10, 13]))
    else if (request.url === '/hint') {
      response.writeEarlyHints({ link: '</style.css>; rel=preload' })
      response.writeHead(503, { 'x-utf8': 'caf\u00e9' }).end('body')
    } else response.writeHead(200, { 'content-length': 5 }).end('12345')
  })
  fixture.route([one])
  const get = (path: string, method = 'GET'): ReturnType<typeof call> => call(fixture.edge, { path, method })
  t.match(await get('/none'), { status: 204, body: '' })
  t.match(await get('/not-modified'), { status: 304, body: '', headers: { etag: '"1"' } })
  t.equal((await get('/long')).body, long)
  t.equal((await get('/chunked')).body, `a${long}`)
  t.match(await get('/empty'), { status: 200, body: '' })
  t.equal((await get('/binary')).headers['content-length'], '5')
  t.match(await get('/hint'), { status: 503, body: 'body', headers: { 'x-utf8': 'caf\u00e9' } })
  t.match(await get('/five', 'HEAD'), { status: 200, body: '', headers: { 'content-length': '5' } })
  t.match(await get('/five'), { status: 200, body: '12345' })
})

test('events of a stream arrive while it is open', async t => {
  await using fixture = await openEdge()
  let send: (text: string) => void = () => undefined
  const one = await fixture.instance('one', (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    send = text => void response.write(text)
    response.write('data: 1\n\n')
  })
  fixture.route([one])
  const { default: http } = await import('node:http')
  const request = http.get({ port: fixture.edge.port, host: '127.0.0.1', headers: { host: 'shop.localhost' } })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  t.equal(String((await once(response, 'data'))[0]), 'data: 1\n\n')
  send('data: 2\n\n')
  t.equal(String((await once(response, 'data'))[0]), 'data: 2\n\n')
  t.equal(fixture.edge.inFlight('one'), 1)
  request.destroy()
})

test('maintenance and errors are pages for people, in their language, and JSON for programs', async t => {
  await using fixture = await openEdge()
  fixture.route([], { maintenance: true })
  const ask = (headers: Record<string, string>): ReturnType<typeof call> => call(fixture.edge, { headers })
  const html = { accept: 'text/html,application/json;q=0.9' }
  for (const [language, wanted, words] of [
    ['zh-CN,zh;q=0.9,en;q=0.8', 'zh-CN', '维护'],
    ['en-US,en;q=0.9,zh;q=0.8', 'en', 'maintained'],
    ['fr', 'en', 'maintained'],
    ['zh;q=0.5, en;q=0.4', 'zh-CN', '维护'],
    ['', 'en', 'maintained'],
  ] as const) {
    const page = await ask({ ...html, 'accept-language': language })
    t.match(
      page,
      { status: 503, headers: { 'retry-after': '60', 'content-language': wanted, 'cache-control': 'no-store' } },
      language,
    )
    t.ok(page.body.includes(words), language)
  }
  const json = await ask({ accept: 'application/json' })
  t.match(JSON.parse(json.body), { code: 'core.load-balancer.maintenance', retryable: true })
  t.equal((await call(fixture.edge, { method: 'HEAD' })).status, 503)
  fixture.route([])
  t.match(JSON.parse((await ask({})).body), { code: 'core.load-balancer.no-instance' })
})

test('a port in use is named', async t => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const { port } = other.address() as { port: number }
  const options = { port, clock: systemClock(), ids: systemIds(), logger: silentLogger }
  await t.rejects(createEdge(options), {
    code: 'core.deploy.port-in-use',
    message: new RegExp(String(port)),
    details: { port },
  })
  other.close()
})

test('a table in which two sites claim a name is refused and the old one stays', async t => {
  await using fixture = await openEdge()
  const one = await fixture.instance('one', (_, response) => response.end('one'))
  fixture.route([one])
  const claim = (site: string, id: string) => ({
    site,
    hostNames: ['same.localhost'],
    upstreams: [{ ...one, id }],
    maintenance: false,
  })
  t.throws(() => fixture.edge.setRoutes([claim('a', 'x'), claim('b', 'y')]), { code: 'core.kernel.invalid-config' })
  t.throws(() => fixture.edge.setRoutes([claim('a', 'x'), { ...claim('b', 'x'), hostNames: [] }]), {
    code: 'core.kernel.invalid-config',
  })
  t.equal((await call(fixture.edge)).body, 'one')
})

test('metrics count requests, failures, bytes and time per site and upstream', async t => {
  await using fixture = await openEdge()
  const one = await fixture.instance('one', (request, response) => {
    response.statusCode = request.url === '/bad' ? 500 : 200
    response.end('x'.repeat(100))
  })
  fixture.route([one])
  for (const path of ['/', '/bad', '/']) await call(fixture.edge, { path })
  await call(fixture.edge, { method: 'POST', body: 'x'.repeat(1_000) })
  const { sites, upstreams } = fixture.edge.metrics()
  for (const counters of [sites.shop, upstreams.one]) {
    t.match(counters, { requests: 4, failures: 1, retried: 0, rejected: 0, bytesOut: 400, inFlight: 0 })
    t.ok((counters?.bytesIn ?? 0) > 1_000)
    t.equal(counters?.latency.count, 4)
    t.ok((counters?.latency.quantile(0.5) ?? 0) > 0)
  }
})

test('a host name given in the request line counts, several host headers do not', async t => {
  await using fixture = await openEdge()
  const one = await fixture.instance('one', (request, response) =>
    response.end(`${request.url} of ${request.headers.host}`),
  )
  fixture.route([one])
  const close = 'connection: close\r\n\r\n'
  t.match(
    await sendRaw(fixture.edge, `GET http://shop.localhost/a HTTP/1.1\r\nhost: other\r\n${close}`),
    /\/a of shop.localhost/,
  )
  t.match(
    await sendRaw(fixture.edge, `GET / HTTP/1.1\r\nhost: shop.localhost\r\nhost: other\r\n${close}`),
    /^HTTP\/1.1 400/,
  )
  t.match(await sendRaw(fixture.edge, `GET / HTTP/1.1\r\n${close}`), /^HTTP\/1.1 400/)
  t.match(await sendRaw(fixture.edge, `GET / HTTP/1.1\r\nhost: shop.localhost/x\r\n${close}`), /^HTTP\/1.1 400/)
  t.match(await sendRaw(fixture.edge, `OPTIONS * HTTP/1.1\r\nhost: shop.localhost\r\n${close}`), /^HTTP\/1.1 400/)
})
