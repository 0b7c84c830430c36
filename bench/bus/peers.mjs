// The peers: raw NATS clients, Moleculer, NestJS, and a plain function as the floor in one process.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { item, itemBytes } from './payload.mjs'

/** The peers are installed beside this file, not with the project. */
const load = name => import(name)
const decoder = new TextDecoder()
const encoder = new TextEncoder()
const echo = async input => input
const read = bytes => JSON.parse(decoder.decode(bytes))
const write = value => encoder.encode(JSON.stringify(value))
const timeout = { timeout: 5_000 }

/** `request()` of a NATS client; with `json` both sides do what every framework does, else bytes go back as they came. */
const raw = (library, json, options) => ({
  async serve(env) {
    const { connect } = await load(library)
    const nc = await connect({ servers: env.nats })
    const callback = json
      ? async (_, message) => message.respond(write(await echo(read(message.data))))
      : (_, message) => message.respond(message.data)
    nc.subscribe(env.name, { queue: 'q', callback })
    await nc.flush()
  },
  async connect(env) {
    const { connect } = await load(library)
    const nc = await connect({ servers: env.nats, ...options })
    return json
      ? async () => read((await nc.request(env.name, write(item), timeout)).data)
      : () => nc.request(env.name, itemBytes, timeout)
  },
})

async function broker(env, side, transporter) {
  const { default: moleculer } = await load('moleculer')
  const nodeID = `${env.name}-${side}`
  return new moleculer.ServiceBroker({ nodeID, namespace: env.name, transporter, logger: false, requestTimeout: 5_000 })
}

const moleculerService = { name: 'echo', actions: { echo: context => echo(context.params) } }

async function moleculerClient(client) {
  await client.start()
  await client.waitForServices('echo')
  return () => client.call('echo.echo', item)
}

const moleculer = {
  async serve(env) {
    const server = await broker(env, 'server', env.nats)
    server.createService(moleculerService)
    await server.start()
  },
  connect: async env => moleculerClient(await broker(env, 'client', env.nats)),
}

const moleculerLocal = {
  async connect(env) {
    const local = await broker(env, 'local')
    local.createService(moleculerService)
    return moleculerClient(local)
  },
}

const nest = {
  async serve(env) {
    await load('reflect-metadata')
    const { NestFactory } = await load('@nestjs/core')
    const { Module, Controller } = await load('@nestjs/common')
    const { MessagePattern, Transport } = await load('@nestjs/microservices')
    class Echo {
      echo(input) {
        return echo(input)
      }
    }
    MessagePattern(env.name)(Echo.prototype, 'echo', Object.getOwnPropertyDescriptor(Echo.prototype, 'echo'))
    Controller()(Echo)
    class Root {}
    Module({ controllers: [Echo] })(Root)
    const options = { servers: [env.nats], queue: 'q' }
    const app = await NestFactory.createMicroservice(Root, { transport: Transport.NATS, options, logger: false })
    await app.listen()
  },
  async connect(env) {
    const { ClientProxyFactory, Transport } = await load('@nestjs/microservices')
    const { firstValueFrom } = await load('rxjs')
    const client = ClientProxyFactory.create({ transport: Transport.NATS, options: { servers: [env.nats] } })
    await client.connect()
    return () => firstValueFrom(client.send(env.name, item))
  },
}

/** What two processes on one machine can do at best: bytes to and fro on a unix socket, nobody looks at them. */
const unixFloor = {
  serve(env) {
    const server = createServer(socket => socket.on('data', bytes => socket.write(bytes)))
    return once(server.listen(join(env.dir, 'floor')), 'listening')
  },
  async connect(env) {
    const socket = connect(join(env.dir, 'floor'))
    await once(socket, 'connect')
    const waiting = []
    let heard = 0
    socket.on('data', bytes => {
      for (heard += bytes.length; heard >= itemBytes.length; heard -= itemBytes.length) waiting.shift()()
    })
    return () =>
      new Promise(resolve => {
        waiting.push(resolve)
        socket.write(itemBytes)
      })
  },
}

export const kinds = {
  'nats v2 bytes': raw('nats', false),
  'nats v2 json': raw('nats', true),
  'nats v3 bytes': raw('@nats-io/transport-node', false, { noAsyncTraces: true }),
  moleculer,
  nest,
  'unix bytes': unixFloor,
  'moleculer local': moleculerLocal,
  function: { connect: async () => () => echo(item) },
}
