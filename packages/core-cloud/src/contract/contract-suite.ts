import assert from 'node:assert/strict'
import { type Static, Type } from 'typebox'
import type { Clock } from '../kernel/clock.js'
import type { Actor, CallContext } from '../kernel/context.js'
import type { ErrorCode } from '../kernel/error-codes.js'
import { CloudError } from '../kernel/errors.js'
import { type Client, type Contract, defineContract, type Handlers } from './contract.js'

/** What a surface gives the suite for one test. */
export interface ContractFixture extends AsyncDisposable {
  /** Deadlines count on it. */
  readonly clock: Clock
  passTime(ms: number): Promise<void>
  /**
   * Serves the contract and gives a maker of clients: `client(actor)` acts as that actor, whichever way the surface
   * knows its callers.
   */
  serve<C extends Contract>(contract: C, handlers: Handlers<C>): Promise<(actor?: Actor) => Client<C>>
}

export interface ContractSurface {
  /** False when the caller is trusted and input is not checked. */
  readonly validates: boolean
  /** Where `context.tenant` comes from: what the call says, who the caller is known to be (here `shop`), or nowhere. */
  readonly tenant: 'of the call' | 'of the caller' | 'none'
}

const Line = Type.Object(
  { sku: Type.String({ maxLength: 40 }), quantity: Type.Integer({ minimum: 1 }) },
  { additionalProperties: false },
)
const Seen = Type.Object({
  traceId: Type.String(),
  tenant: Type.Optional(Type.String()),
  actor: Type.Optional(Type.Object({ id: Type.String(), scopes: Type.Array(Type.String()) })),
  deadline: Type.Number(),
  idempotencyKey: Type.Optional(Type.String()),
})

/** A contract with one method for each promise. */
export const sampleContract = defineContract({
  name: 'sample.suite',
  version: '1.0.0',
  methods: {
    total: {
      summary: 'Adds quantities.',
      input: Type.Object(
        { lines: Type.Array(Line, { maxItems: 10 }), note: Type.Optional(Type.String()) },
        { additionalProperties: false },
      ),
      output: Type.Object({ units: Type.Integer(), note: Type.Optional(Type.String()) }),
      http: { verb: 'POST', path: '/totals', status: 201 },
    },
    find: {
      summary: 'Gives its input back.',
      input: Type.Object(
        {
          id: Type.String({ minLength: 1 }),
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
          ratio: Type.Optional(Type.Number()),
          open: Type.Optional(Type.Boolean()),
          tags: Type.Optional(Type.Array(Type.String())),
          sizes: Type.Optional(Type.Array(Type.Integer())),
          order: Type.Optional(Type.Union([Type.Literal('up'), Type.Literal('down')])),
        },
        { additionalProperties: false },
      ),
      output: Type.Unknown(),
      idempotent: true,
      http: { verb: 'GET', path: '/things/:id' },
    },
    forget: {
      summary: 'Answers nothing.',
      input: Type.Object({ id: Type.String() }),
      output: Type.Unknown(),
      http: { verb: 'DELETE', path: '/things/:id', status: 204 },
    },
    fail: { summary: 'Fails as told.', input: Type.Object({ how: Type.String() }), output: Type.Unknown() },
    hang: { summary: 'Never answers.', input: Type.Object({}), output: Type.Unknown(), deadlineMs: 2_000 },
    context: { summary: 'Shows the context of the call.', input: Type.Object({}), output: Seen, deadlineMs: 4_000 },
    secret: { summary: 'Needs a scope.', input: Type.Object({}), output: Type.String(), scope: 'sample.read' },
  },
})

/** What the handlers of the suite tell the test. */
interface Watch {
  /** The context of the last call of `hang`. */
  readonly hanging: Promise<CallContext>
  calls: number
}

function sampleHandlers(): { readonly handlers: Handlers<typeof sampleContract>; readonly watch: Watch } {
  let started: (context: CallContext) => void = () => undefined
  const watch: Watch = { hanging: new Promise(resolve => (started = resolve)), calls: 0 }
  const handlers: Handlers<typeof sampleContract> = {
    async total({ lines, note }) {
      watch.calls += 1
      return { units: lines.reduce((sum, line) => sum + line.quantity, 0), ...(note === undefined ? {} : { note }) }
    },
    find: async input => input,
    forget: async () => undefined,
    async fail({ how }) {
      if (how === 'plain') throw new Error('secret: the password is 123')
      if (how === 'full') {
        throw new CloudError('business.inventory.sold-out', 'only 2 left', {
          field: 'lines/0',
          details: { sku: 'A-1', left: 2 },
          retryable: true,
        })
      }
      throw new CloudError(how as ErrorCode, 'from a newer version', { details: { hint: 1 } })
    },
    hang: (_, context) => new Promise(() => started(context)),
    async context(_, context) {
      assert.equal(context.signal.aborted, false)
      const { traceId, deadline, tenant, actor, idempotencyKey } = context
      const seen = { traceId, deadline, tenant, actor, idempotencyKey }
      return Object.fromEntries(Object.entries(seen).filter(([, value]) => value !== undefined)) as Static<typeof Seen>
    },
    secret: async () => 'treasure',
  }
  return { handlers, watch }
}

export type ContractSuiteTest = (name: string, fn: () => Promise<void>) => unknown
type Act = (on: {
  readonly client: (actor?: Actor) => Client<typeof sampleContract>
  readonly watch: Watch
  readonly fixture: ContractFixture
}) => Promise<void>

/** What every surface promises its callers, whoever serves the contract. */
export function contractSuite(
  test: ContractSuiteTest,
  open: () => Promise<ContractFixture>,
  surface: ContractSurface,
): void {
  const on = (name: string, act: Act): void => {
    test(name, async () => {
      await using fixture = await open()
      const { handlers, watch } = sampleHandlers()
      await act({ client: await fixture.serve(sampleContract, handlers), watch, fixture })
    })
  }
  resultSuite(on)
  errorSuite(on)
  endSuite(on)
  contextSuite(on, surface)
  if (surface.validates) validationSuite(on)
}

type On = (name: string, act: Act) => void
const ada: Actor = { id: 'ada', scopes: ['sample.read'] }

function resultSuite(on: On): void {
  on('results arrive as the handler gave them', async ({ client }) => {
    const lines = [
      { sku: 'A', quantity: 2 },
      { sku: '中', quantity: 3 },
    ]
    assert.deepEqual(await client().total({ lines, note: 'é\n"' }), { units: 5, note: 'é\n"' })
    assert.deepEqual(await client().total({ lines: [] }), { units: 0 })
    assert.equal(await client().forget({ id: 'x' }), undefined)
  })

  on('fields of every kind survive the way', async ({ client }) => {
    const input = {
      id: 'a/b ü?&=%',
      limit: 7,
      ratio: -1.5e-7,
      open: false,
      tags: ['x y', 'ä&b'],
      sizes: [1, 2],
      order: 'up' as const,
    }
    assert.deepEqual(await client().find(input), input)
    assert.deepEqual(await client().find({ id: '12', tags: ['one'] }), { id: '12', tags: ['one'] })
  })

  on('many calls at once do not mix', async ({ client }) => {
    const one = client()
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) => one.total({ lines: [{ sku: 'A', quantity: index + 1 }] })),
    )
    assert.deepEqual(
      answers.map(({ units }) => units),
      Array.from({ length: 100 }, (_, index) => index + 1),
    )
  })
}

function errorSuite(on: On): void {
  on('an error of the contract arrives as it was thrown', async ({ client }) => {
    await assert.rejects(client().fail({ how: 'full' }), (error: unknown) => {
      assert.ok(CloudError.is(error, 'business.inventory.sold-out'))
      assert.equal(error.message, 'only 2 left')
      assert.equal(error.field, 'lines/0')
      assert.deepEqual(error.details, { sku: 'A-1', left: 2 })
      assert.equal(error.retryable, true)
      return true
    })
  })

  on('an error nobody threw on purpose is internal and tells nothing', async ({ client }) => {
    await assert.rejects(client().fail({ how: 'plain' }), (error: unknown) => {
      assert.ok(CloudError.is(error, 'core.kernel.internal'))
      assert.doesNotMatch(JSON.stringify(error), /password|secret/)
      assert.match(error.message, /sample\.suite\.fail/)
      return true
    })
  })
}

function endSuite(on: On): void {
  on('a call ends at the deadline of its method, and the handler is told', async ({ client, watch, fixture }) => {
    const call = client().hang({})
    const ended = assert.rejects(call, { code: 'core.contract.deadline-exceeded' })
    const { signal } = await watch.hanging
    assert.equal(signal.aborted, false)
    await fixture.passTime(2_000)
    await ended
    await abortOf(signal)
  })

  on('the caller may set a shorter deadline', async ({ client, watch, fixture }) => {
    const ended = assert.rejects(client().hang({}, { deadline: fixture.clock.now() + 500 }), {
      code: 'core.contract.deadline-exceeded',
    })
    await watch.hanging
    await fixture.passTime(500)
    await ended
    await assert.rejects(client().total({ lines: [] }, { deadline: fixture.clock.now() }), {
      code: 'core.contract.deadline-exceeded',
    })
    assert.equal(watch.calls, 0)
  })

  on('cancelling ends the call on both sides', async ({ client, watch }) => {
    const controller = new AbortController()
    const ended = assert.rejects(client().hang({}, { signal: controller.signal }), { code: 'core.contract.cancelled' })
    const { signal } = await watch.hanging
    controller.abort(new Error('enough'))
    await ended
    await abortOf(signal)
    await assert.rejects(client().total({ lines: [] }, { signal: controller.signal }), {
      code: 'core.contract.cancelled',
    })
    assert.equal(watch.calls, 0)
  })
}

/** Waits until the far side's signal aborts, which on some surfaces takes a moment longer than the near side's error. */
async function abortOf(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()))
  assert.ok(signal.reason instanceof Error)
}

function contextSuite(on: On, surface: ContractSurface): void {
  on('trace, actor, deadline and idempotency key arrive', async ({ client, fixture }) => {
    const traceId = '0af7651916cd43dd8448eb211c80319c'
    const said = surface.tenant === 'of the caller' ? 'another' : 'shop'
    const seen = await client(ada).context({}, { traceId, idempotencyKey: 'key-1', tenant: said })
    assert.equal(seen.traceId, traceId)
    assert.deepEqual(seen.actor, ada)
    assert.equal(seen.idempotencyKey, 'key-1')
    assert.equal(seen.tenant, surface.tenant === 'none' ? undefined : 'shop')
    // A surface that sends what is left of the time loses what the way took.
    const left = seen.deadline - fixture.clock.now()
    assert.ok(left > 3_000 && left <= 4_000, `${left} ms are left`)
  })

  on('without options the context holds a fresh trace and nothing else', async ({ client }) => {
    const first = await client().context({})
    const second = await client().context({})
    assert.match(first.traceId, /^[0-9a-f]{32}$/)
    assert.notEqual(first.traceId, second.traceId)
    const known = surface.tenant === 'of the caller' ? ['tenant'] : []
    assert.deepEqual(Object.keys(first).sort(), ['deadline', ...known, 'traceId'])
  })

  on('a method with a scope refuses an actor that lacks it', async ({ client }) => {
    assert.equal(await client(ada).secret({}), 'treasure')
    assert.equal(await client({ id: 'root', scopes: ['*'] }).secret({}), 'treasure')
    const refused = { code: 'core.contract.forbidden', details: { scope: 'sample.read' } }
    await assert.rejects(client({ id: 'eve', scopes: ['sample.write', 'sample'] }).secret({}), refused)
    await assert.rejects(client({ id: 'eve', scopes: [] }).secret({}), refused)
  })
}

function validationSuite(on: On): void {
  on(
    'input that does not fit is refused with the place and the reason, before the handler',
    async ({ client, watch }) => {
      const total = client().total as (input: unknown) => Promise<unknown>
      const line = { sku: 'A', quantity: 1 }
      const cases: readonly (readonly [unknown, string, RegExp])[] = [
        [{ lines: [{ ...line, quantity: 0 }] }, 'lines/0/quantity', />= 1/],
        [{ lines: [line, { ...line, quantity: 1.5 }] }, 'lines/1/quantity', /integer/],
        [{ lines: [line, { sku: 'A' }] }, 'lines/1/quantity', /missing/],
        [{ lines: [{ ...line, price: 1 }] }, 'lines/0/price', /not allowed/],
        [{ lines: 'none' }, 'lines', /array/],
        [{}, 'lines', /missing/],
        [{ lines: [], more: 1 }, 'more', /not allowed/],
        [{ lines: Array.from({ length: 11 }, () => line) }, 'lines', /10/],
      ]
      for (const [input, field, reason] of cases) {
        await assert.rejects(total(input), (error: unknown) => {
          assert.ok(CloudError.is(error, 'core.contract.invalid-input'), String(error))
          assert.equal(error.field, field)
          assert.match(error.message, reason)
          return true
        })
      }
      const find = client().find as (input: unknown) => Promise<unknown>
      await assert.rejects(find({ id: 'x', limit: 'many' }), { code: 'core.contract.invalid-input', field: 'limit' })
      await assert.rejects(find({ id: 'x', order: 'sideways' }), (error: Error) => /"up", "down"/.test(error.message))
      assert.equal(watch.calls, 0)
      assert.deepEqual(await total({ lines: Array.from({ length: 10 }, () => line) }), { units: 10 })
    },
  )

  on('a code of a newer version becomes a remote error that names it', async ({ client }) => {
    await assert.rejects(client().fail({ how: 'future.layer.code' }), {
      code: 'core.contract.remote-error',
      message: 'from a newer version',
      details: { hint: 1, code: 'future.layer.code' },
    })
  })
}
