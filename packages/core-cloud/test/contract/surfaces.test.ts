import { memoryBus } from '@aaas/core-cloud/bus'
import { createLogger, type LogRecord, silentLogger, systemIds } from '@aaas/core-cloud/kernel'
import { ManualClock } from '@aaas/testing'
import { test } from 'tap'
import { Type } from 'typebox'
import {
  busClient,
  commandsOf,
  defineContract,
  httpClient,
  openApiDocument,
  serveContract,
} from '../../src/contract/index.js'

const ids = systemIds()
const shop = defineContract({
  name: 'sample.shop',
  version: '1.0.0',
  methods: {
    setPrice: {
      summary: 'Sets a price.',
      input: Type.Object(
        {
          sku: Type.String({ minLength: 2, description: 'Which one' }),
          amount: Type.Integer({ minimum: 0, default: 0 }),
          currency: Type.Union([Type.Literal('CNY'), Type.Literal('EUR')]),
          notifyAll: Type.Optional(Type.Boolean()),
          groups: Type.Optional(Type.Array(Type.String())),
          levels: Type.Optional(Type.Array(Type.Integer())),
          steps: Type.Optional(Type.Array(Type.Object({ from: Type.Integer() }))),
        },
        { additionalProperties: false },
      ),
      output: Type.Object({ ok: Type.Boolean() }),
      errors: ['business.catalogue.unknown-product'],
      scope: 'price.write',
      idempotent: true,
      http: { verb: 'PUT', path: '/skus/:sku/price' },
    },
    find: {
      summary: 'Finds.',
      input: Type.Object({ text: Type.String({ description: 'Words' }), limit: Type.Optional(Type.Integer()) }),
      output: Type.Array(Type.String()),
      http: { verb: 'GET', path: '/skus' },
    },
    forget: {
      summary: 'Forgets.',
      input: Type.Object({ sku: Type.String() }),
      output: Type.Unknown(),
      http: { verb: 'DELETE', path: '/skus/:sku', status: 204 },
    },
    internal: { summary: 'Has no place.', input: Type.Object({}), output: Type.Unknown() },
  },
})

/** A value deep inside a document. */
function at(value: unknown, ...keys: readonly string[]): unknown {
  return keys.reduce<unknown>((inside, key) => (inside as Readonly<Record<string, unknown>> | undefined)?.[key], value)
}

test('the OpenAPI document says what the contract says', async t => {
  const document = openApiDocument({
    title: 'Shop',
    version: '1.0.0',
    servers: [{ url: 'https://shop.example/api/v1' }],
    contracts: [shop],
  })
  t.equal(document.openapi, '3.1.0')
  t.same(Object.keys(at(document, 'paths') as object), ['/skus/{sku}/price', '/skus', '/skus/{sku}'])
  const put = at(document, 'paths', '/skus/{sku}/price', 'put')
  t.match(put, {
    operationId: 'sample.shop.setPrice',
    security: [{ bearer: ['price.write'] }],
    parameters: [
      { name: 'sku', in: 'path', description: 'Which one', required: true, schema: { type: 'string', minLength: 2 } },
      { name: 'Idempotency-Key', in: 'header' },
    ],
  })
  const body = at(put, 'requestBody', 'content', 'application/json', 'schema')
  t.same(at(body, 'required'), ['amount', 'currency'])
  t.equal(at(body, 'properties', 'sku'), undefined)
  t.equal(at(body, 'additionalProperties'), false)
  t.same(Object.keys(at(put, 'responses') as object), ['200', '400', '401', '403', '404', '413', '500', '504'])
  t.same(at(put, 'responses', '404', 'x-error-codes'), ['business.catalogue.unknown-product'])
  const get = at(document, 'paths', '/skus', 'get')
  t.match(get, {
    parameters: [
      { name: 'text', in: 'query', required: true },
      { name: 'limit', in: 'query' },
    ],
    security: [{}, { bearer: [] }],
  })
  t.equal(at(get, 'requestBody'), undefined)
  t.same(at(document, 'paths', '/skus/{sku}', 'delete', 'responses', '204'), { description: 'Done.' })
  const text = JSON.stringify(document)
  t.notMatch(text, /shop\.internal|~kind/)
  for (const [, name] of text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g))
    t.ok(at(document, 'components', 'schemas', name ?? ''))
  const operationIds = [...text.matchAll(/"operationId":"([^"]+)"/g)].map(([, id]) => id)
  t.equal(new Set(operationIds).size, operationIds.length)
  t.throws(() => openApiDocument({ title: '', version: '', servers: [], contracts: [shop, shop] }), /claimed twice/)
})

test('the command line of a contract', async t => {
  const [setPrice] = commandsOf(shop)
  if (setPrice === undefined) throw new Error('no command')
  t.match(setPrice, { name: 'set-price', method: 'setPrice', summary: 'Sets a price.' })
  t.match(setPrice.options, [
    { flag: '--sku', type: 'string', required: true, help: 'Which one' },
    { flag: '--amount', type: 'integer', required: true, help: 'default 0' },
    { flag: '--currency', type: 'string', required: true, help: 'one of CNY, EUR' },
    { flag: '--notify-all', type: 'boolean', required: false },
    { flag: '--groups', type: 'string', multiple: true },
    { flag: '--levels', type: 'integer', multiple: true },
    { flag: '--steps', type: 'json', multiple: false },
  ])
  const least = { sku: 'A1', amount: '5', currency: 'CNY' }
  t.same(setPrice.parse(least), { sku: 'A1', amount: 5, currency: 'CNY' })
  t.same(setPrice.parse({ ...least, 'notify-all': true, groups: 'vip', levels: ['1', '2'], steps: '[{"from":1}]' }), {
    sku: 'A1',
    amount: 5,
    currency: 'CNY',
    notifyAll: true,
    groups: ['vip'],
    levels: [1, 2],
    steps: [{ from: 1 }],
  })
  const wrong: readonly (readonly [Parameters<typeof setPrice.parse>[0], string, RegExp])[] = [
    [{ amount: '5', currency: 'CNY' }, '--sku', /--sku is missing/],
    [{ ...least, amount: 'five' }, '--amount', /--amount must be integer/],
    [{ ...least, currency: 'USD' }, '--currency', /"CNY", "EUR"/],
    [{ ...least, colour: 'red' }, '--colour', /not known/],
    [{ ...least, sku: true }, '--sku', /needs a value/],
    [{ ...least, sku: ['A1', 'A2'] }, '--sku', /2 times/],
    [{ ...least, levels: ['1', 'x'] }, '--levels', /--levels \(1\) must be integer/],
    [{ ...least, 'notify-all': 'maybe' }, '--notify-all', /boolean/],
    [{ ...least, steps: 'no json' }, '--steps', /array/],
  ]
  for (const [values, flag, message] of wrong) {
    t.throws(() => setPrice.parse(values), { code: 'core.contract.invalid-input', field: flag, message }, flag)
  }
})

const greeter = defineContract({
  name: 'sample.greeter',
  version: '1.0.0',
  methods: { greet: { summary: 'Greets.', input: Type.Object({ name: Type.String() }), output: Type.Unknown() } },
})

test('the server decides who may call', async t => {
  const clock = new ManualClock()
  const bus = memoryBus({ clock })
  const asked: unknown[] = []
  await serveContract({
    bus,
    contract: greeter,
    handlers: { greet: async ({ name }) => name },
    prefix: 'site.a',
    clock,
    logger: silentLogger,
    authorize: (sender, method, actor) => {
      asked.push([sender, method, actor?.id])
      return actor?.id === 'ada'
    },
  })
  const client = busClient({ bus, contract: greeter, prefix: 'site.a', clock, ids })
  t.equal(await client.greet({ name: 'x' }, { actor: { id: 'ada', scopes: [] } }), 'x')
  await t.rejects(client.greet({ name: 'x' }), { code: 'core.contract.forbidden' })
  t.same(asked, [
    [undefined, 'greet', 'ada'],
    [undefined, 'greet', undefined],
  ])
})

test('what is not a call, or not one of ours, does no harm', async t => {
  const clock = new ManualClock()
  const bus = memoryBus({ clock })
  const records: LogRecord[] = []
  const logger = createLogger({ now: () => 0, write: record => void records.push(record) })
  const circular: { self?: unknown } = {}
  circular.self = circular
  const served = await serveContract({
    bus,
    contract: greeter,
    handlers: {
      greet: async ({ name }) => (name === 'circular' ? circular : name === 'big' ? 'x'.repeat(9_000_000) : name),
    },
    prefix: 'site.a',
    clock,
    logger,
  })
  const client = busClient({ bus, contract: greeter, prefix: 'site.a', clock, ids })
  const ask = async (
    method: string,
    payload: string,
    headers: Record<string, string> = {},
  ): Promise<{ code?: string }> => {
    const answer = await bus.request(`site.a.sample.greeter.${method}`, Buffer.from(payload), {
      deadline: clock.now() + 1_000,
      headers,
    })
    return JSON.parse(Buffer.from(answer.payload).toString()) as { code?: string }
  }
  await bus.publish('site.a.sample.greeter.greet', Buffer.from('{"name":"x"}'))
  t.match(await ask('depart', '{}'), { code: 'core.contract.unknown-method' })
  t.match(await ask('constructor', '{}'), { code: 'core.contract.unknown-method' })
  for (const payload of ['', '{', 'null', '"x"'])
    t.match(await ask('greet', payload), { code: 'core.contract.invalid-input' })
  for (const actor of ['{', '{}', '{"id":1,"scopes":[]}', '{"id":"a","scopes":[1]}']) {
    t.match(await ask('greet', '{"name":"x"}', { actor }), { code: 'core.contract.invalid-input', field: 'actor' })
  }
  await t.rejects(client.greet({ name: 'circular' }), { code: 'core.kernel.internal' })
  await t.rejects(client.greet({ name: 'big' }), { code: 'core.contract.payload-too-large' })
  t.equal(await client.greet({ name: 'fine' }), 'fine')
  t.equal(records.length, 1, 'only the circular answer is worth a line')
  await served.drain()
  await t.rejects(client.greet({ name: 'x' }), { code: 'core.bus.no-responder' })
})

test('a handler that outlives its deadline does not hold up a drain', async t => {
  const clock = new ManualClock()
  const bus = memoryBus({ clock })
  let started: () => void = () => undefined
  const running = new Promise<void>(resolve => (started = resolve))
  const served = await serveContract({
    bus,
    contract: greeter,
    handlers: { greet: () => (started(), new Promise(() => undefined)) },
    prefix: 'site.a',
    clock,
    logger: silentLogger,
  })
  const call = busClient({ bus, contract: greeter, prefix: 'site.a', clock, ids }).greet(
    { name: 'x' },
    { deadline: clock.now() + 100 },
  )
  const ended = t.rejects(call, { code: 'core.contract.deadline-exceeded' })
  await running
  const drained = served.drain()
  await clock.pass(100)
  await ended
  await drained
})

test('an HTTP server that is away or speaks something else', async t => {
  const clock = new ManualClock()
  const client = (status: number, body: string) =>
    httpClient({
      contract: greeter,
      baseUrl: 'http://x',
      clock,
      ids,
      fetch: async () => ({ status, text: async () => body }),
    })
  const away = httpClient({
    contract: greeter,
    baseUrl: 'http://x',
    clock,
    ids,
    fetch: () => Promise.reject(new TypeError('fetch failed')),
  })
  await t.rejects(away.greet({ name: 'x' }), { code: 'core.contract.unavailable', retryable: true })
  await t.rejects(client(502, '<html>').greet({ name: 'x' }), { code: 'core.contract.remote-error' })
  await t.rejects(client(500, '{}').greet({ name: 'x' }), { code: 'core.contract.remote-error' })
  await t.rejects(client(400, '{"error":{"code":7}}').greet({ name: 'x' }), { code: 'core.contract.remote-error' })
  t.equal(await client(204, '').greet({ name: 'x' }), undefined)
})
