import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import http, { type ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Edge, Upstream } from '@aaas/core-cloud/load-balancer'
import { eventually, ManualClock } from '@aaas/testing'
import { test } from 'tap'
import { type Answer, call, deferred, openEdge } from './edge-fixture.js'

/** Keeps `callers` requests going by keep-alive connections, without retries, until stopped. */
function load(edge: Edge, callers: number, request: { readonly method?: string; readonly body?: string } = {}) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: callers })
  const bad: string[] = []
  let good = 0
  let stopped = false
  const caller = async (): Promise<void> => {
    while (!stopped) {
      const answer = await call(edge, { agent, ...request }).catch((error: unknown) => String(error))
      if (typeof answer === 'string') bad.push(answer)
      else if (answer.status !== 200 || !answer.body.endsWith('"}'))
        bad.push(`${answer.status} ${answer.body.slice(0, 80)}`)
      else good += 1
    }
  }
  const running = Promise.all(Array.from({ length: callers }, caller))
  return {
    bad,
    get good() {
      return good
    },
    async stop() {
      stopped = true
      await running
      agent.destroy()
    },
  }
}

async function startProcess(
  folder: string,
  id: string,
): Promise<{ readonly upstream: Upstream; readonly child: ChildProcess }> {
  const socketPath = join(folder, `${id}.sock`)
  await rm(socketPath, { force: true })
  const script = fileURLToPath(new URL('./upstream-process.js', import.meta.url))
  const child = spawn(process.execPath, [script, socketPath, id], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  return { upstream: { id, socketPath, concurrency: 100, state: 'ready' }, child }
}

test('an instance that is killed under load costs no GET', async t => {
  await using fixture = await openEdge()
  const { edge, folder } = fixture
  let [one, two] = await Promise.all([startProcess(folder, 'one'), startProcess(folder, 'two')])
  fixture.route([one.upstream, two.upstream])
  const traffic = load(edge, 8)
  for (let round = 0; round < 4; round++) {
    const before = traffic.good
    await eventually('traffic flows', () => traffic.good > before + 200)
    const exit = once(one.child, 'exit')
    one.child.kill('SIGKILL')
    await exit
    const after = traffic.good
    await eventually('traffic goes on', () => traffic.good > after + 200)
    one = await startProcess(folder, one.upstream.id)
    ;[one, two] = [two, one]
  }
  await traffic.stop()
  t.strictSame(traffic.bad, [])
  t.ok((edge.metrics().sites.shop?.retried ?? 0) > 0, 'it was not for lack of trouble')
  t.equal(edge.metrics().sites.shop?.failures, 0)
  for (const { child } of [one, two]) child.kill('SIGKILL')
})

test('tables swapped under load lose no request, and a drained instance is stopped in peace', async t => {
  await using fixture = await openEdge()
  const { edge } = fixture
  const stopped = new Set<string>()
  const late: string[] = []
  const start = (id: string) =>
    fixture.instance(id, (request, response) => {
      if (stopped.has(id)) late.push(id)
      request.resume()
      request.on('end', () => setImmediate(() => response.end(JSON.stringify({ id }))))
    })
  let current = [await start('i0'), await start('i1')]
  fixture.route(current)
  const traffic = load(edge, 8, { method: 'POST', body: 'order' })
  for (let round = 0; round < 20; round++) {
    const before = traffic.good
    await eventually('traffic flows', () => traffic.good > before + 30)
    const [old, kept] = current
    if (old === undefined || kept === undefined) throw new Error('two instances')
    const fresh = await start(`i${round + 2}`)
    fixture.route([{ ...old, state: 'draining' }, kept, fresh])
    await edge.drained(old.id)
    stopped.add(old.id)
    t.equal(edge.inFlight(old.id), 0)
    fixture.route([kept, fresh])
    old.server.closeAllConnections()
    old.server.close()
    current = [kept, fresh]
  }
  await traffic.stop()
  t.strictSame(traffic.bad, [])
  t.strictSame(late, [], 'nothing came after the drain')
  t.ok(traffic.good > 600)
})

test('drained waits for the last request, also after the upstream left the table, and can be given up', async t => {
  await using fixture = await openEdge()
  const gate = deferred()
  const one = await fixture.instance('one', (_, response) => void gate.promise.then(() => response.end('done')))
  fixture.route([one])
  const running = call(fixture.edge)
  await eventually('it runs', () => fixture.edge.inFlight('one') === 1)
  fixture.route([])
  const abort = new AbortController()
  const impatient = fixture.edge.drained('one', abort.signal)
  abort.abort(new Error('enough'))
  await t.rejects(impatient, /enough/)
  let drained = false
  const waiting = fixture.edge.drained('one').then(() => {
    drained = true
  })
  t.equal(fixture.edge.inFlight('one'), 1)
  t.notOk(drained)
  gate.resolve()
  t.equal((await running).body, 'done')
  await waiting
  t.equal(fixture.edge.inFlight('one'), 0)
  await fixture.edge.drained('unknown')
})

test('each instance gets at most its concurrency; the next request goes elsewhere, and then comes 503', async t => {
  await using fixture = await openEdge()
  const held: ServerResponse[] = []
  const hold = (_: unknown, response: ServerResponse): void => void held.push(response)
  const one = await fixture.instance('one', hold, { concurrency: 2 })
  const two = await fixture.instance('two', hold, { concurrency: 3 })
  fixture.route([one, two])
  const running = Array.from({ length: 5 }, () => call(fixture.edge))
  await eventually('all run', () => held.length === 5)
  t.strictSame([fixture.edge.inFlight('one'), fixture.edge.inFlight('two')], [2, 3])
  const refused = await call(fixture.edge)
  t.match(refused, { status: 503, headers: { 'retry-after': '1' } })
  t.match(JSON.parse(refused.body), { code: 'core.load-balancer.overloaded', retryable: true })
  t.equal(fixture.edge.metrics().sites.shop?.rejected, 1)
  for (const response of held.splice(0)) response.end('ok')
  t.ok((await Promise.all(running)).every(answer => answer.status === 200))
  const next = call(fixture.edge)
  await eventually('there is room again', () => held.length === 1)
  held[0]?.end('ok')
  t.equal((await next).status, 200)
})

test('a POST that an instance may have seen is not repeated; one that nobody took is', async t => {
  await using fixture = await openEdge()
  let seen = 0
  const dying = await fixture.rawInstance('dying', socket => {
    socket.on('data', () => {
      seen += 1
      socket.destroy()
    })
  })
  const gone: Upstream = { id: 'gone', socketPath: join(fixture.folder, 'gone.sock'), concurrency: 100, state: 'ready' }
  const good = await fixture.instance('good', (_, response) => response.end('good'))
  fixture.route([dying])
  const post = { method: 'POST', body: 'order' }
  const answer = await call(fixture.edge, post)
  t.equal(answer.status, 502)
  t.match(JSON.parse(answer.body), { code: 'core.load-balancer.instance-failed' })
  t.equal(seen, 1)
  fixture.route([gone, good])
  for (let index = 0; index < 6; index++) t.equal((await call(fixture.edge, post)).body, 'good')
  const large = { method: 'POST', body: 'x'.repeat(500_000) }
  for (let index = 0; index < 4; index++) t.equal((await call(fixture.edge, large)).body, 'good')
  fixture.route([dying, good])
  for (let index = 0; index < 6; index++) t.equal((await call(fixture.edge)).body, 'good', 'a GET is repeated')
})

test('connections that the instance closed while idle cost no order', async t => {
  await using fixture = await openEdge()
  let orders = 0
  const one = await fixture.instance('one', (request, response) => {
    if (request.method === 'POST') orders += 1
    response.end('ok')
  })
  fixture.route([one])
  for (let round = 0; round < 20; round++) {
    t.equal((await call(fixture.edge)).status, 200)
    // Closed in the same turn in which the next request is on its way.
    one.server.closeAllConnections()
    t.equal((await call(fixture.edge, { method: 'POST', body: 'order' })).status, 200)
  }
  t.equal(orders, 20)
})

test('an answer that is cut off never looks whole', async t => {
  await using fixture = await openEdge({ limits: { bufferBytes: 1_000 } })
  const cutting = await fixture.rawInstance('cutting', socket => {
    socket.on('data', bytes => {
      const kind = bytes.toString().split(' ')[1]
      if (kind === '/small') socket.end('HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\nhalf')
      else if (kind === '/big') socket.end(`HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n${'x'.repeat(2_000)}`)
      else if (kind === '/chunked') socket.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n')
      else if (kind === '/close') socket.end('HTTP/1.1 200 OK\r\n\r\nwhole')
      else socket.end('220 mail.example.com ESMTP\r\n\r\n')
    })
  })
  fixture.route([cutting])
  t.equal((await call(fixture.edge, { path: '/small' })).status, 502, 'kept back until complete')
  await t.rejects(call(fixture.edge, { path: '/big' }))
  await t.rejects(call(fixture.edge, { path: '/chunked' }))
  t.match(await call(fixture.edge, { path: '/close' }), { status: 200, body: 'whole' })
  t.equal((await call(fixture.edge, { path: '/mail' })).status, 502)
})

test('a client that goes away frees its place, and the instance hears of it', async t => {
  await using fixture = await openEdge()
  let closed = false
  const one = await fixture.instance('one', (_, response) => {
    response.on('close', () => {
      closed = true
    })
  })
  fixture.route([one])
  const socket = connect(fixture.edge.port, '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nhost: shop.localhost\r\n\r\n')
  await eventually('it runs', () => fixture.edge.inFlight('one') === 1)
  socket.destroy()
  await eventually('the instance hears of it', () => closed)
  t.equal(fixture.edge.inFlight('one'), 0)
})

test('a slow reader holds neither the place of a page nor the memory of a large file', async t => {
  await using fixture = await openEdge()
  let sent = 0
  const one = await fixture.instance('one', (request, response) => {
    if (request.url === '/page') {
      response.end('x'.repeat(200_000))
      return
    }
    const chunk = Buffer.alloc(65_536)
    const pump = (): void => {
      let more = true
      while (more && sent < 60_000_000) {
        more = response.write(chunk)
        sent += chunk.length
      }
    }
    response.on('drain', pump)
    pump()
  })
  fixture.route([one])
  const slow = (path: string): Socket => {
    const socket = connect(fixture.edge.port, '127.0.0.1')
    socket.pause()
    socket.write(`GET ${path} HTTP/1.1\r\nhost: shop.localhost\r\n\r\n`)
    return socket
  }
  const pages = Array.from({ length: 20 }, () => slow('/page'))
  await eventually('the instance is done with the pages', () => fixture.edge.metrics().upstreams.one?.requests === 20)
  t.equal(fixture.edge.inFlight('one'), 0)
  const file = slow('/file')
  let last = -1
  await eventually('the file stops flowing', () => {
    const still = sent > 0 && sent === last
    last = sent
    return still
  })
  t.ok(sent < 20_000_000, `${sent} bytes left the instance`)
  for (const socket of [...pages, file]) socket.destroy()
})

test('a silent instance is given up after its time with 504', async t => {
  const clock = new ManualClock()
  await using fixture = await openEdge({ clock, limits: { upstreamMs: 5_000 } })
  const one = await fixture.instance('one', request => void request.resume())
  fixture.route([one])
  const waiting = call(fixture.edge)
  await eventually('it runs', () => fixture.edge.inFlight('one') === 1)
  await clock.pass(4_900)
  t.equal(fixture.edge.inFlight('one'), 1)
  await clock.pass(1_200)
  const answer: Answer = await waiting
  t.equal(answer.status, 504)
  t.match(JSON.parse(answer.body), { code: 'core.load-balancer.instance-timeout' })
  t.equal(fixture.edge.inFlight('one'), 0)
  t.equal(clock.pending, 0, 'nothing ticks while nothing runs')
})

test('stopping lets running requests end and takes no new ones', async t => {
  await using fixture = await openEdge()
  const { edge } = fixture
  const gate = deferred()
  const one = await fixture.instance('one', (_, response) => void gate.promise.then(() => response.end('done')))
  fixture.route([one])
  const agent = new http.Agent({ keepAlive: true })
  const running = call(edge, { agent })
  await eventually('it runs', () => edge.inFlight('one') === 1)
  const { port } = edge
  const stopped = edge[Symbol.asyncDispose]()
  await t.rejects(call({ ...edge, port } as Edge), { code: 'ECONNREFUSED' })
  gate.resolve()
  t.match(await running, { status: 200, body: 'done', headers: { connection: 'close' } })
  await stopped
  agent.destroy()
})
