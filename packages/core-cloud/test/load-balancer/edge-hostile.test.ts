import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'tap'
import { call, openEdge, readAll, sendRaw } from './edge-fixture.js'

const host = 'host: shop.localhost\r\n'

test('requests that two readers could split differently are refused', async t => {
  await using fixture = await openEdge()
  const seen: string[] = []
  const one = await fixture.instance('one', (request, response) => {
    seen.push(String(request.url))
    response.end('ok')
  })
  fixture.route([one])
  const smuggled = 'GET /smuggled HTTP/1.1\r\nhost: shop.localhost\r\n\r\n'
  for (const [name, text] of [
    [
      'both framings',
      `POST / HTTP/1.1\r\n${host}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    ],
    [
      'two lengths',
      `POST / HTTP/1.1\r\n${host}content-length: 0\r\ncontent-length: ${smuggled.length}\r\n\r\n${smuggled}`,
    ],
    ['unknown encoding', `POST / HTTP/1.1\r\n${host}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n${smuggled}`],
    ['chunked not last', `POST / HTTP/1.1\r\n${host}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n${smuggled}`],
    ['space before the colon', `POST / HTTP/1.1\r\n${host}content-length : 4\r\n\r\nabcd${smuggled}`],
    ['bad length', `POST / HTTP/1.1\r\n${host}content-length: +4\r\n\r\nabcd${smuggled}`],
    ['folded header', `GET / HTTP/1.1\r\n${host}x: a\r\n b: c\r\n\r\n${smuggled}`],
    ['bad chunk size', `POST / HTTP/1.1\r\n${host}transfer-encoding: chunked\r\n\r\nzz\r\n\r\n${smuggled}`],
    ['control character', `GET / HTTP/1.1\r\n${host}x: a\x00b\r\n\r\n${smuggled}`],
  ] as const) {
    const answer = await sendRaw(fixture.edge, text)
    t.match(answer, /^HTTP\/1.1 400/, name)
  }
  t.notOk(seen.includes('/smuggled'))
})

test('a head, a body and a header line have limits', async t => {
  await using fixture = await openEdge({ limits: { maxHeadBytes: 8_192, maxBodyBytes: 100_000 } })
  let bodies = 0
  const one = await fixture.instance('one', async (request, response) => {
    const body = await readAll(request).catch(() => undefined)
    if (body === undefined) return
    bodies += 1
    response.end(String(body.length))
  })
  fixture.route([one])
  t.match(await sendRaw(fixture.edge, `GET / HTTP/1.1\r\n${host}x: ${'a'.repeat(9_000)}\r\n\r\n`), /^HTTP\/1.1 431/)
  t.equal((await call(fixture.edge, { headers: { x: 'a'.repeat(7_500) } })).status, 200)
  const post = (length: number, headers: Record<string, string | number>): ReturnType<typeof call> =>
    call(fixture.edge, { method: 'POST', body: 'x'.repeat(length), headers })
  t.match(await post(100_000, { 'content-length': 100_000 }), { status: 200, body: '100000' })
  t.match(await post(100_000, { 'transfer-encoding': 'chunked' }), { status: 200, body: '100000' })
  t.equal(bodies, 3)
  const announced = await sendRaw(fixture.edge, `POST / HTTP/1.1\r\n${host}content-length: 100001\r\n\r\n`)
  t.match(announced, /^HTTP\/1.1 413/)
  const expecting = await sendRaw(
    fixture.edge,
    `POST / HTTP/1.1\r\n${host}expect: 100-continue\r\ncontent-length: 100001\r\n\r\n`,
  )
  t.match(expecting, /^HTTP\/1.1 413/, 'told before the body is sent')
  const chunk = `${(60_000).toString(16)}\r\n${'x'.repeat(60_000)}\r\n`
  const chunked = await sendRaw(
    fixture.edge,
    `POST / HTTP/1.1\r\n${host}transfer-encoding: chunked\r\n\r\n${chunk}${chunk}0\r\n\r\n`,
  )
  t.match(chunked, /^HTTP\/1.1 413/)
  t.equal(bodies, 3)
  t.equal((await call(fixture.edge)).status, 200)
})

test('a client that sends its body drop by drop holds no place of the instance', async t => {
  await using fixture = await openEdge()
  let requests = 0
  const one = await fixture.instance('one', (_, response) => {
    requests += 1
    response.end('ok')
  })
  fixture.route([{ ...one, concurrency: 1 }])
  const drip = connect(fixture.edge.port, '127.0.0.1')
  drip.write(`POST / HTTP/1.1\r\n${host}content-length: 3\r\n\r\na`)
  t.equal((await call(fixture.edge)).body, 'ok')
  drip.write('b')
  t.equal((await call(fixture.edge)).body, 'ok')
  t.equal(requests, 2)
  drip.write('c')
  t.match(String((await once(drip, 'data'))[0]), /^HTTP\/1.1 200/)
  drip.destroy()
})

test('an instance cannot make the edge lie: bytes behind an answer never become the next one', async t => {
  await using fixture = await openEdge()
  let answers = 0
  const one = await fixture.rawInstance('one', socket => {
    socket.on('data', () => {
      answers += 1
      const forged = 'HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged'
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nreal${forged}`)
    })
  })
  fixture.route([one])
  for (let index = 0; index < 5; index++) t.equal((await call(fixture.edge)).body, 'real')
  t.equal(answers, 5)
})

test('nonsense from an instance is 502, whatever it is', async t => {
  await using fixture = await openEdge()
  for (const [index, text] of [
    'HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcd',
    'HTTP/1.1 200 OK\r\ncontent-length: -4\r\n\r\nabcd',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabcd',
    'HTTP/1.1 200 OK\r\nno colon\r\n\r\n',
    'HTTP/1.1 200 OK\r\nbad name: x\r\ncontent-length: 0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nx: a\nb\r\ncontent-length: 0\r\n\r\n',
    'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n',
    'HTTP/2 200\r\n\r\n',
    `HTTP/1.1 200 OK\r\nx: ${'a'.repeat(70_000)}\r\n\r\n`,
  ].entries()) {
    const one = await fixture.rawInstance(`raw${index}`, socket => socket.on('data', () => socket.end(text)))
    fixture.route([one])
    t.equal((await call(fixture.edge)).status, 502, text.slice(0, 60))
  }
})

test('kinds of requests that are not carried are refused', async t => {
  await using fixture = await openEdge()
  const one = await fixture.instance('one', (_, response) => response.end('ok'))
  fixture.route([one])
  const upgrade = {
    connection: 'upgrade',
    upgrade: 'websocket',
    'sec-websocket-key': 'x',
    'sec-websocket-version': '13',
  }
  t.equal((await call(fixture.edge, { headers: upgrade })).status, 501)
  t.equal((await call(fixture.edge, { method: 'TRACE' })).status, 501)
  t.equal(
    (await call(fixture.edge, { headers: { connection: 'upgrade, http2-settings', upgrade: 'h2c' } })).status,
    200,
  )
  t.equal(await sendRaw(fixture.edge, `CONNECT shop.localhost:443 HTTP/1.1\r\n${host}\r\n`), '')
})
