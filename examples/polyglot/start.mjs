// A typed service here, a Python peer there: each calls the other over a private nats-server.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { natsBus } from '@aaas/core-cloud/bus/nats'
import { defineContract, serveContract } from '@aaas/core-cloud/contract'
import { CloudError, silentLogger as logger, systemClock, systemIds } from '@aaas/core-cloud/kernel'

const brokerProgram = 'nats-server'
const found = (program, argument) => spawnSync(program, [argument], { stdio: 'ignore' }).error === undefined
for (const [program, argument] of [
  [brokerProgram, '--version'],
  ['python3', '--version'],
]) {
  if (found(program, argument)) continue
  console.log(`skip: no ${program} on this machine`)
  process.exit(0)
}

const text = { type: 'string', minLength: 1 }
const count = { type: 'integer', minimum: 1 }
const prices = defineContract({
  name: 'example.prices',
  version: '1.0.0',
  methods: {
    quote: {
      summary: 'What so many of an item cost, tax included.',
      input: { type: 'object', required: ['sku', 'quantity'], properties: { sku: text, quantity: count } },
      output: { type: 'object', required: ['amount', 'currency'], properties: { amount: count, currency: text } },
    },
  },
})

const port = await freePort()
const broker = spawn(brokerProgram, ['-a', '127.0.0.1', '-p', String(port)], { stdio: ['ignore', 'ignore', 'pipe'] })
const ready = new Promise(resolve => {
  broker.stderr.on('data', part => String(part).includes('Server is ready') && resolve())
})
let peer
let bus
try {
  await ready
  const clock = systemClock({ keepAlive: true })
  const servers = `nats://127.0.0.1:${port}`
  // Bare bodies for what Python serves; what is served here understands plain clients by itself.
  bus = await natsBus({ servers, clock, ids: systemIds(), logger, plain: ['python.>'] })
  const taxOf = async amount => {
    const body = Buffer.from(JSON.stringify({ amount }))
    const answer = await bus.request('python.tax', body, { deadline: clock.now() + 5_000 })
    return JSON.parse(Buffer.from(answer.payload).toString()).tax
  }
  const handlers = {
    async quote({ sku, quantity }) {
      if (sku !== 'TEA') throw new CloudError('core.contract.invalid-input', `there is no ${sku}`, { field: 'sku' })
      const net = 350 * quantity
      return { amount: net + (await taxOf(net)), currency: 'EUR' }
    },
  }
  await serveContract({ bus, contract: prices, handlers, prefix: 'service.shop', clock, logger, ids: systemIds() })
  const script = fileURLToPath(new URL('peer.py', import.meta.url))
  peer = spawn('python3', [script, '127.0.0.1', String(port)], { stdio: 'inherit' })
  const [code] = await once(peer, 'exit')
  process.exitCode = code === 0 ? 0 : 1
} finally {
  await bus?.[Symbol.asyncDispose]()
  broker.kill()
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  return port
}
