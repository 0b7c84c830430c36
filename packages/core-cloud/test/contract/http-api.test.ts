import { CloudError, createLogger, type LogRecord, systemIds } from '@aaas/core-cloud/kernel'
import { ManualClock } from '@aaas/testing'
import { test } from 'tap'
import { Type } from 'typebox'
import {
  createHttpApi,
  defineContract,
  type HttpApiAnswer,
  type HttpApiRequest,
  httpHandler,
} from '../../src/contract/index.js'

const things = defineContract({
  name: 'sample.things',
  version: '1.0.0',
  methods: {
    create: {
      summary: 'Creates.',
      input: Type.Object({ name: Type.String(), size: Type.Optional(Type.Integer()) }, { additionalProperties: false }),
      output: Type.Object({ name: Type.String() }),
      http: { verb: 'POST', path: '/things', status: 201 },
    },
    list: {
      summary: 'Lists.',
      input: Type.Object(
        { limit: Type.Optional(Type.Integer({ maximum: 10 })), open: Type.Optional(Type.Boolean()) },
        { additionalProperties: false },
      ),
      output: Type.Unknown(),
      http: { verb: 'GET', path: '/things' },
    },
    replace: {
      summary: 'Replaces.',
      input: Type.Object({ id: Type.Integer(), name: Type.String() }),
      output: Type.Unknown(),
      http: { verb: 'PUT', path: '/things/:id' },
    },
    get: {
      summary: 'Gets.',
      input: Type.Object({ id: Type.Integer() }),
      output: Type.Unknown(),
      http: { verb: 'GET', path: '/things/:id' },
    },
    newest: {
      summary: 'The newest.',
      input: Type.Object({}),
      output: Type.Unknown(),
      http: { verb: 'GET', path: '/things/newest' },
    },
    remove: {
      summary: 'Removes.',
      input: Type.Object({ id: Type.Integer() }),
      output: Type.Unknown(),
      scope: 'things.write',
      http: { verb: 'DELETE', path: '/things/:id', status: 204 },
    },
    busy: {
      summary: 'Fails.',
      input: Type.Object({ how: Type.String() }),
      output: Type.Unknown(),
      http: { verb: 'POST', path: '/busy' },
    },
    seen: {
      summary: 'Shows the context.',
      input: Type.Object({}),
      output: Type.Unknown(),
      deadlineMs: 3_000,
      http: { verb: 'GET', path: '/seen' },
    },
    hidden: { summary: 'Has no place.', input: Type.Object({}), output: Type.String() },
  },
})

const clock = new ManualClock()
const records: LogRecord[] = []
const services = [
  {
    contract: things,
    handlers: {
      create: async ({ name }: { name: string }) => ({ name }),
      list: async (input: unknown) => input,
      replace: async (input: unknown) => input,
      get: async (input: unknown) => input,
      newest: async () => 'newest',
      remove: async () => undefined,
      async busy({ how }: { how: string }) {
        if (how === 'limited')
          throw new CloudError('core.contract.rate-limited', 'slow down', { details: { retryAfterMs: 2_500 } })
        if (how === 'full') throw new CloudError('access.pool.full', 'full')
        if (how === 'sold') throw new CloudError('business.inventory.sold-out', 'gone')
        throw new Error('secret text')
      },
      seen: async (
        _: unknown,
        context: { traceId: string; deadline: number; idempotencyKey?: string; tenant?: string },
      ) => ({
        traceId: context.traceId,
        left: context.deadline - clock.now(),
        key: context.idempotencyKey,
        tenant: context.tenant ?? 'none',
      }),
      hidden: async () => 'found',
    },
  },
]
const options = {
  services,
  basePath: '/api',
  clock,
  ids: systemIds(),
  logger: createLogger({ now: () => 0, write: record => void records.push(record) }),
  maxBodyBytes: 100,
}
const api = createHttpApi(options)

async function send(
  line: string,
  request: Partial<HttpApiRequest> & { json?: unknown } = {},
): Promise<HttpApiAnswer & { data: unknown }> {
  const [method = '', target = ''] = line.split(' ')
  const [path = '', query] = target.split('?')
  const { json, ...rest } = request
  const answer = await api.handle({
    method,
    path,
    headers: json === undefined ? {} : { 'content-type': 'application/json' },
    body: json === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(json)),
    ...(query === undefined ? {} : { query: new URLSearchParams(query) }),
    ...rest,
  })
  if (answer === undefined) throw new Error(`${line} is not of this API`)
  return { ...answer, data: answer.body === '' ? undefined : JSON.parse(answer.body) }
}

/** Status, code and field of an error answer. */
async function failure(...args: Parameters<typeof send>): Promise<readonly unknown[]> {
  const { status, data } = await send(...args)
  const { error } = data as { error: { code: string; field?: string; traceId: string; message: string } }
  if (!/^[0-9a-f]{32}$/.test(error.traceId)) throw new Error('no trace id')
  return [status, error.code, ...(error.field === undefined ? [] : [error.field])]
}

test('verbs and paths', async t => {
  t.match(await send('POST /api/things', { json: { name: 'x' } }), { status: 201, data: { name: 'x' } })
  t.match(await send('GET /api/things?limit=3&open=false'), { status: 200, data: { limit: 3, open: false } })
  t.match(await send('PUT /api/things/7', { json: { name: 'x' } }), { data: { id: 7, name: 'x' } })
  t.match(await send('PUT /api/things/7', { json: { name: 'x', id: 7 } }), { data: { id: 7, name: 'x' } })
  t.match(await send('GET /api/things/newest'), { data: 'newest' })
  t.match(await send('GET /api/things/12'), { data: { id: 12 } })
  t.match(await send('DELETE /api/things/1', { actor: { id: 'a', scopes: ['things.write'] } }), {
    status: 204,
    body: '',
  })
  const head = await send('HEAD /api/things')
  t.match(head, { status: 200, body: '' })
  t.equal(head.headers['content-type'], undefined)
  for (const path of [
    '/',
    '/api',
    '/api/',
    '/api/other',
    '/things',
    '/apix/things',
    '/api/things/',
    '/api/things/1/2',
    '/api/rpc/sample.things/hidden',
  ]) {
    t.equal(await api.handle({ method: 'GET', path, headers: {}, body: Buffer.alloc(0) }), undefined, path)
  }
})

test('a known path with another verb is 405 and says which', async t => {
  const answer = await send('PATCH /api/things')
  t.equal(answer.status, 405)
  t.equal(answer.headers.allow, 'POST, GET, HEAD')
  t.same(await failure('PATCH /api/things/1'), [405, 'core.contract.method-not-allowed'])
})

test('who may call', async t => {
  const missing = await send('DELETE /api/things/1')
  t.equal(missing.status, 401)
  t.equal(missing.headers['www-authenticate'], 'Bearer')
  t.same(await failure('DELETE /api/things/1', { actor: { id: 'a', scopes: ['things.read'] } }), [
    403,
    'core.contract.forbidden',
  ])
})

test('input that is wrong names its place', async t => {
  const bad = 'core.contract.invalid-input'
  t.same(await failure('POST /api/things', { json: {} }), [400, bad, 'name'])
  t.same(
    await failure('POST /api/things', { json: { name: 'x', size: '3' } }),
    [400, bad, 'size'],
    'a body is not converted',
  )
  t.same(await failure('POST /api/things', { json: [] }), [400, bad, ''])
  t.same(await failure('GET /api/things?limit=many'), [400, bad, 'limit'])
  t.same(await failure('GET /api/things?limit=11'), [400, bad, 'limit'])
  t.same(await failure('GET /api/things?limit=1&limit=2'), [400, bad, 'limit'])
  t.same(await failure('GET /api/things?strange=1'), [400, bad, 'strange'])
  t.same(await failure('GET /api/things?__proto__=1'), [400, bad, '__proto__'])
  t.same(await failure('GET /api/things/abc'), [400, bad, 'id'])
  t.same(await failure('GET /api/things/%E0%A4%A'), [400, bad, 'id'])
  t.same(await failure('PUT /api/things/7', { json: { name: 'x', id: 8 } }), [400, bad, 'id'])
  t.same(await failure('GET /api/seen', { headers: { 'x-deadline-ms': 'soon' } }), [400, bad, 'x-deadline-ms'])
  t.same(await failure('GET /api/seen', { headers: { 'idempotency-key': 'a b' } }), [400, bad, 'idempotency-key'])
})

test('bodies that are no JSON, too large, or of another kind', async t => {
  const json = { 'content-type': 'application/json; charset=utf-8' }
  const post = (body: string | Buffer, headers: Record<string, string> = json): Promise<readonly unknown[]> =>
    failure('POST /api/things', { headers, body: Buffer.from(body) })
  t.same(await post('{"name"'), [400, 'core.contract.invalid-input', ''])
  t.same(await post(Buffer.from([0x22, 0xff, 0x22])), [400, 'core.contract.invalid-input', ''])
  t.same(await post('name=x', { 'content-type': 'application/x-www-form-urlencoded' }), [
    415,
    'core.contract.unsupported-media-type',
    'content-type',
  ])
  t.same(await post('{}', {}), [415, 'core.contract.unsupported-media-type', 'content-type'])
  t.same(await post('{}', { 'content-type': 'application/json; charset=latin1' }), [
    415,
    'core.contract.unsupported-media-type',
    'content-type',
  ])
  t.same(await post('x'.repeat(101)), [413, 'core.contract.payload-too-large'])
  t.equal(
    (
      await send('POST /api/things', {
        headers: { 'content-type': 'application/merge-patch+json' },
        body: Buffer.from('{"name":"x"}'),
      })
    ).status,
    201,
  )
  t.equal(
    (await send('POST /api/things', { headers: json, body: Buffer.from(`{"name":"${'x'.repeat(89)}"}`) })).status,
    201,
    'exactly the limit',
  )
})

test('errors of handlers keep their code and status; unknown ones are logged and hidden', async t => {
  const limited = await send('POST /api/busy', { json: { how: 'limited' } })
  t.equal(limited.status, 429)
  t.equal(limited.headers['retry-after'], '3')
  const full = await send('POST /api/busy', { json: { how: 'full' } })
  t.match(full, { status: 503, headers: { 'retry-after': '1' } })
  t.equal((await send('POST /api/busy', { json: { how: 'sold' } })).headers['retry-after'], undefined)
  records.length = 0
  const internal = await send('POST /api/busy', { json: { how: 'plain' } })
  t.equal(internal.status, 500)
  t.notMatch(internal.body, /secret/)
  t.match(records, [{ level: 'error', fields: { method: 'sample.things.busy', error: { message: 'secret text' } } }])
  t.equal(records[0]?.fields.traceId, (internal.data as { error: { traceId: string } }).error.traceId)
})

test('trace, deadline and idempotency key come from the headers', async t => {
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
  const headers = { traceparent: `00-${traceId}-00f067aa0ba902b7-01`, 'x-deadline-ms': '500', 'idempotency-key': 'k-1' }
  const answer = await send('GET /api/seen', { headers })
  t.same(answer.data, { traceId, left: 500, key: 'k-1', tenant: 'none' })
  t.match(answer.headers.traceparent, new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`))
  t.match((await send('GET /api/seen', { headers: { 'x-deadline-ms': '999999' } })).data, { left: 3_000 })
  for (const traceparent of [
    'nonsense',
    `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
    `ff-${traceId}-00f067aa0ba902b7-01`,
  ]) {
    const fresh = (await send('GET /api/seen', { headers: { traceparent } })).data as { traceId: string }
    t.match(fresh.traceId, /^[0-9a-f]{32}$/)
    t.not(fresh.traceId, traceId)
  }
})

test('rpc places exist only when asked for', async t => {
  const rpc = createHttpApi({ ...options, rpc: true })
  const request = { headers: {}, body: Buffer.alloc(0) }
  t.match(await rpc.handle({ ...request, method: 'POST', path: '/api/rpc/sample.things/hidden' }), {
    status: 200,
    body: '"found"',
  })
  t.match(await rpc.handle({ ...request, method: 'GET', path: '/api/rpc/sample.things/hidden' }), { status: 405 })
})

test('two methods at one place are a mistake found at start', async t => {
  t.throws(() => createHttpApi({ ...options, services: [...services, ...services] }), /claimed by/)
})

test('as a fetch handler: authentication fails closed, a stream is cut at the limit', async t => {
  let cancelled = false
  const handler = httpHandler({
    ...options,
    authenticate: async request => {
      if (request.headers.get('authorization') === 'Bearer bad')
        throw new CloudError('core.contract.unauthenticated', 'unknown token')
      if (request.headers.get('authorization') === 'Bearer broken') throw new Error('database is down')
      return undefined
    },
  })
  t.equal(await handler(new Request('http://x/other')), undefined)
  t.equal(
    (await handler(new Request('http://x/api/things', { headers: { authorization: 'Bearer bad' } })))?.status,
    401,
  )
  const broken = await handler(new Request('http://x/api/things', { headers: { authorization: 'Bearer broken' } }))
  t.equal(broken?.status, 500)
  t.notMatch(await broken?.text(), /database/)
  const endless = new ReadableStream({
    pull: stream => stream.enqueue(new Uint8Array(40)),
    cancel: () => void (cancelled = true),
  })
  const cut = await handler(
    new Request('http://x/api/things', { method: 'POST', body: endless, duplex: 'half' } as RequestInit),
  )
  t.equal(cut?.status, 413)
  t.ok(cancelled)
})
