import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { defineContract, httpService } from '@aaas/core-cloud/contract'
import { silentLogger, systemIds } from '@aaas/core-cloud/kernel'
import { ManualClock } from '@aaas/testing'
import { test } from 'tap'
import { Type } from 'typebox'
import { type ApiKeys, createOpenApi } from '../../src/open-api/index.js'

const id = Type.String({ maxLength: 600 })
const contract = defineContract({
  name: 'test.things',
  version: '1.0.0',
  methods: {
    get: {
      summary: 'One.',
      input: Type.Object({ id, note: Type.Optional(Type.String()) }, { additionalProperties: false }),
      output: Type.Unknown(),
      errors: ['business.catalogue.unknown-product'],
      http: { verb: 'GET', path: '/things/:id' },
    },
    mine: {
      summary: 'Of the caller.',
      input: Type.Object({}, { additionalProperties: false }),
      output: Type.Unknown(),
      scope: 'thing.read',
      http: { verb: 'GET', path: '/mine' },
    },
  },
})
const otherContract = defineContract({
  name: 'test.other',
  version: '1.0.0',
  methods: {
    other: {
      summary: 'Not kept.',
      input: Type.Object({}, { additionalProperties: false }),
      output: Type.Unknown(),
      http: { verb: 'GET', path: '/other' },
    },
  },
})

async function openApiServer() {
  const clock = new ManualClock()
  const state = { revision: 1 as number | Promise<number>, calls: 0, away: false }
  const answer = async (what: unknown) => ({ what, calls: ++state.calls, text: '壶' })
  const keys = {
    authenticate: async (text: string) => ({
      keyId: text,
      name: text,
      scopes: ['thing.read'],
      requestsPerSecond: 1_000,
      createdAt: 0,
    }),
  } as unknown as ApiKeys
  const api = createOpenApi({
    services: [
      httpService(contract, {
        get: async input => {
          if (input.id !== 'none') return answer(input)
          throw Object.assign(new Error('no'), { code: 'none' })
        },
        mine: (_input, context) => answer(context.actor?.id),
      }),
      httpService(otherContract, { other: () => answer('other') }),
    ],
    kept: {
      contract,
      revision: () => (state.away ? Promise.reject(new Error('the database is away')) : state.revision),
    },
    keys,
    title: 'test',
    version: '1.0.0',
    clock,
    ids: systemIds(),
    logger: silentLogger,
  })
  const server = createServer((request, response) => void api.handle(request, response, request.url ?? '/'))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    clock,
    state,
    async ask(path: string, key?: string, headers: Record<string, string> = {}) {
      const answer = await fetch(url + path, {
        headers: { ...(key === undefined ? {} : { authorization: `Bearer ${key}` }), ...headers },
      })
      return { status: answer.status, headers: answer.headers, body: (await answer.json()) as Record<string, unknown> }
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

test('an answer is kept while the revision stays, by path and query, and looks as if it were made', async t => {
  await using server = await openApiServer()
  const { ask, state, clock } = server
  const made = await ask('/things/a', 'k')
  const kept = await ask('/things/a', 'other-key')
  t.equal(state.calls, 1)
  t.same(kept.body, made.body)
  t.equal(kept.body.text, '壶')
  const compared = (answer: typeof made) =>
    [...answer.headers].filter(([name]) => name !== 'traceparent' && name !== 'date').sort()
  t.same(compared(kept), compared(made))
  t.match(kept.headers.get('traceparent'), /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
  const trace = 'a'.repeat(32)
  const traced = await ask('/things/a', 'k', { traceparent: `00-${trace}-${'b'.repeat(16)}-01` })
  t.match(traced.headers.get('traceparent'), trace, 'the trace of the caller goes on')
  await ask('/things/a?note=x', 'k')
  t.equal(state.calls, 2)
  state.revision = 2
  await ask('/things/a', 'k')
  t.equal(state.calls, 3)
  state.revision = Promise.resolve(2)
  await ask('/things/a', 'k')
  t.equal(state.calls, 4, 'nobody knows yet whether it is still right')
  state.away = true
  await ask('/things/a', 'k')
  state.away = false
  t.equal(state.calls, 5)
  state.revision = 2
  await ask('/things/a', 'k')
  t.equal(state.calls, 5)
  await clock.pass(2_000)
  await ask('/things/a', 'k')
  t.equal(state.calls, 6, 'age counts too')
})

test('nothing is kept that could differ from caller to caller', async t => {
  await using server = await openApiServer()
  const { ask, state } = server
  t.equal((await ask('/mine', 'anna')).body.what, 'key:anna')
  t.equal((await ask('/mine', 'ben')).body.what, 'key:ben')
  t.equal((await ask('/mine')).status, 401)
  const before = state.calls
  await ask('/other', 'k')
  await ask('/other', 'k')
  t.equal(state.calls, before + 2, 'another contract did not ask to be kept')
  t.equal((await ask('/things/none', 'k')).status, 500)
  t.equal((await ask('/things/none', 'k')).status, 500)
  const long = `/things/${'x'.repeat(520)}`
  await ask(long, 'k')
  const calls = state.calls
  await ask(long, 'k')
  t.equal(state.calls, calls + 1, 'long addresses are not kept')
  await ask('/things/a', 'k')
  t.equal((await ask('/things/a', 'k', { 'x-deadline-ms': 'soon' })).status, 400, 'a wrong header is still wrong')
})

test('a kept answer counts against the rate of the caller', async t => {
  await using server = await openApiServer()
  const answers = []
  for (let index = 0; index < 21; index++) answers.push((await server.ask('/things/a')).status)
  t.same(answers.slice(0, 20), Array(20).fill(200))
  t.equal(answers[20], 429)
  t.equal(server.state.calls, 1)
})
