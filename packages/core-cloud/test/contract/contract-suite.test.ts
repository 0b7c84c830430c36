import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Bus, connectBus, listenBus, memoryBus } from '@aaas/core-cloud/bus'
import { type Actor, silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { ManualClock } from '@aaas/testing'
import { test } from 'tap'
import { type ContractFixture, contractSuite } from '../../src/contract/contract-suite.js'
import {
  busClient,
  type Client,
  type Contract,
  type Fetch,
  type Handlers,
  httpClient,
  httpHandler,
  localClient,
  nodeHttpHandler,
  serveContract,
} from '../../src/contract/index.js'
import { socketFolder } from '../bus/fixture/processes.js'
import { actingAs } from './fixture/acting.js'

const ids = systemIds()
const logger = silentLogger

test('local', async t => {
  contractSuite(
    (name, fn) => t.test(name, fn),
    async (): Promise<ContractFixture> => {
      const clock = new ManualClock()
      return {
        clock,
        passTime: ms => clock.pass(ms),
        serve: async (contract, handlers) => actor =>
          actingAs(localClient({ contract, handlers, clock, ids }), contract, actor),
        async [Symbol.asyncDispose]() {},
      }
    },
    { validates: false, tenant: 'of the call' },
  )
})

async function overBus<C extends Contract>(
  contract: C,
  handlers: Handlers<C>,
  near: Bus,
  far: Bus,
  clock: ManualClock,
): Promise<(actor?: Actor) => Client<C>> {
  await serveContract({ bus: far, contract, handlers, prefix: 'site.shop', queue: 'sample', clock, logger })
  const client = busClient({ bus: near, contract, prefix: 'site.shop', clock, ids })
  return actor => actingAs(client, contract, actor)
}

test('memory bus', async t => {
  contractSuite(
    (name, fn) => t.test(name, fn),
    async (): Promise<ContractFixture> => {
      const clock = new ManualClock()
      const bus = memoryBus({ clock })
      return {
        clock,
        passTime: ms => clock.pass(ms),
        serve: (contract, handlers) => overBus(contract, handlers, bus, bus, clock),
        [Symbol.asyncDispose]: () => Promise.resolve(bus[Symbol.asyncDispose]()),
      }
    },
    { validates: true, tenant: 'of the call' },
  )
})

test('unix socket bus', async t => {
  contractSuite(
    (name, fn) => t.test(name, fn),
    async (): Promise<ContractFixture> => {
      const clock = new ManualClock(systemClock().now())
      const folder = socketFolder()
      const socketPath = `${folder.path}/hub`
      const hub = await listenBus({
        socketPath,
        clock,
        logger,
        authenticate: name => ({ name, kind: 'site', publish: ['>'], subscribe: ['>'] }),
      })
      // The sender's name is the tenant, whatever the call says.
      const near = await connectBus({ socketPath, token: 'shop', clock, ids, logger })
      const far = await connectBus({ socketPath, token: 'far', clock, ids, logger })
      return {
        clock,
        passTime: ms => clock.pass(ms),
        serve: (contract, handlers) => overBus(contract, handlers, near, far, clock),
        async [Symbol.asyncDispose]() {
          for (const part of [near, far, hub]) await part[Symbol.asyncDispose]()
          folder.remove()
        },
      }
    },
    { validates: true, tenant: 'of the caller' },
  )
})

/** Tokens are the actor itself: enough for a test. */
const tokenOf = (actor: Actor): string => Buffer.from(JSON.stringify(actor)).toString('base64url')
function actorOf(authorization: string | undefined): Actor | undefined {
  return authorization === undefined
    ? undefined
    : (JSON.parse(Buffer.from(authorization.slice(7), 'base64url').toString()) as Actor)
}

test('HTTP, through Request and Response', async t => {
  contractSuite(
    (name, fn) => t.test(name, fn),
    async (): Promise<ContractFixture> => {
      const clock = new ManualClock()
      return {
        clock,
        passTime: ms => clock.pass(ms),
        async serve(contract, handlers) {
          const handler = httpHandler({
            services: [{ contract, handlers }],
            basePath: '/api',
            rpc: true,
            authenticate: async request => actorOf(request.headers.get('authorization') ?? undefined),
            clock,
            ids,
            logger,
          })
          const fetch: Fetch = async (url, init) =>
            (await handler(new Request(url, init))) ?? new Response('nothing here', { status: 404 })
          return actor =>
            httpClient({
              contract,
              baseUrl: 'http://test/api',
              clock,
              ids,
              fetch,
              ...(actor === undefined ? {} : { token: tokenOf(actor) }),
            })
        },
        async [Symbol.asyncDispose]() {},
      }
    },
    { validates: true, tenant: 'none' },
  )
})

test('HTTP, over a socket', async t => {
  contractSuite(
    (name, fn) => t.test(name, fn),
    async (): Promise<ContractFixture> => {
      const clock = new ManualClock()
      let server: ReturnType<typeof createServer> | undefined
      return {
        clock,
        passTime: ms => clock.pass(ms),
        async serve(contract, handlers) {
          const listener = nodeHttpHandler({
            services: [{ contract, handlers }],
            rpc: true,
            authenticate: request => actorOf(request.headers.authorization),
            clock,
            ids,
            logger,
          })
          server = createServer((request, response) => {
            void listener(request, response).then(ours => ours || response.writeHead(404).end())
          })
          await new Promise<void>(resolve => server?.listen(0, '127.0.0.1', resolve))
          const { port } = server.address() as AddressInfo
          return actor =>
            httpClient({
              contract,
              baseUrl: `http://127.0.0.1:${port}`,
              clock,
              ids,
              ...(actor === undefined ? {} : { token: () => tokenOf(actor) }),
            })
        },
        async [Symbol.asyncDispose]() {
          server?.closeAllConnections()
          await new Promise<void>(resolve => (server === undefined ? resolve() : server.close(() => resolve())))
        },
      }
    },
    { validates: true, tenant: 'none' },
  )
})
