// Ours: contract calls with everything on (deadline, trace, validation of input, metrics) over each kind of bus.
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as bus from '../../packages/core-cloud/dist/src/bus/index.js'
import { natsBus } from '../../packages/core-cloud/dist/src/bus/nats/nats-bus.js'
import * as contracts from '../../packages/core-cloud/dist/src/contract/index.js'
import { silentLogger, systemClock, systemIds } from '../../packages/core-cloud/dist/src/kernel/index.js'
import * as telemetry from '../../packages/core-cloud/dist/src/telemetry/index.js'
import { item } from './payload.mjs'

const clock = systemClock({ keepAlive: true })
const ids = systemIds()
const parts = { clock, ids, logger: silentLogger }
const string = { type: 'string' }
const Item = {
  type: 'object',
  required: ['id', 'sku', 'qty', 'price', 'buyer', 'tags', 'note'],
  properties: {
    id: { type: 'integer' },
    sku: string,
    qty: { type: 'integer', minimum: 1 },
    price: { type: 'number' },
    buyer: { type: 'object', required: ['id', 'name'], properties: { id: string, name: string } },
    tags: { type: 'array', items: string },
    note: { type: 'string', maxLength: 1_000 },
  },
}
const contract = contracts.defineContract({
  name: 'bench.echo',
  version: '1.0.0',
  methods: { echo: { summary: 'Gives back what it got.', input: Item, output: Item } },
})
const handlers = { echo: async input => input }

/** Metrics of every call, and spans for whoever registers a tracer, as a program in production has them. */
const observer = telemetry.callTelemetry({ registry: telemetry.metricRegistry() })

function over(open) {
  return {
    async serve(env) {
      const prefix = `service.${env.name}`
      await contracts.serveContract({
        bus: await open(env, 'server'),
        contract,
        handlers,
        prefix,
        ...parts,
        observer,
      })
    },
    async connect(env) {
      const prefix = `service.${env.name}`
      const opened = await open(env, 'client')
      const client = contracts.busClient({ bus: opened, contract, prefix, ...parts, observer })
      const call = () => client.echo(item)
      // The direct path is taken from the first call on after a newcomer's pause.
      for (let tries = 0; opened.info !== undefined && opened.info().direct < 3; tries++) {
        if (tries > 500) throw new Error('no call went directly')
        await call()
        await new Promise(resolve => setTimeout(resolve, 20))
      }
      return call
    },
  }
}

const nats = batch => async env => {
  return natsBus({ servers: env.nats, ...parts, ...(batch ? {} : { batch: false }) })
}

/** The server has the hub in its process, as a host has it for its instances. */
async function hub(env, side) {
  const socketPath = join(env.dir, 'hub')
  if (side === 'client') return bus.connectBus({ socketPath, token: 'client', ...parts })
  const opened = await bus.listenBus({
    socketPath,
    ...parts,
    authenticate: token => ({ name: token, kind: 'site', publish: ['>'], subscribe: ['>'] }),
  })
  return opened.bus({ name: 'server', kind: 'host', publish: ['>'], subscribe: ['>'] })
}

async function direct(env, side) {
  const keyFile = join(env.dir, 'issuer')
  // The server starts first.
  if (side === 'server') {
    const { privateKey } = generateKeyPairSync('ed25519')
    writeFileSync(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  }
  const issuerKey = createPrivateKey(readFileSync(keyFile))
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const identity = { name: side, kind: 'service', publish: ['>'], subscribe: ['>'] }
  const now = clock.now()
  const credential = bus.issueDirectCredential({
    issuerKey,
    publicKey,
    identity,
    cluster: 'bench',
    from: now - 60_000,
    until: now + 86_400_000,
  })
  return bus.directBus({
    below: env.nats === undefined ? await hub(env, side) : await nats(true)(env),
    credential: () => credential,
    privateKey,
    issuers: [createPublicKey(issuerKey)],
    cluster: 'bench',
    listen: { socketPath: join(env.dir, `direct-${side}`) },
    ...parts,
  })
}

export const kinds = {
  'ours nats': over(nats(true)),
  'ours nats unbatched': over(nats(false)),
  'ours direct': over(direct),
  'ours hub': over(hub),
  'ours local': {
    connect: async () => {
      const client = contracts.localClient({ contract, handlers, ...parts, observer })
      return () => client.echo(item)
    },
  },
}
