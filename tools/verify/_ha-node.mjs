// One process of a replicated key/value service, over HTTP with etcd's bodies: POST /v3/kv/put, /v3/kv/range, /status.
// argv[2]: { node, dir, raftPort, cluster, network: 'tcp' | 'libp2p', clusterKey }. It says { ready, address, http } to
// its parent and hears { peers: [[node, address]] }, { stop }, { proposers, ms }.
import { createServer } from 'node:http'
import { join } from 'node:path'
import { openNode } from '../../packages/core-cloud/dist/src/ha/node/node.js'
import { initialMembership } from '../../packages/core-cloud/dist/src/ha/raft/membership.js'
import { openTcpNetwork } from '../../packages/core-cloud/dist/src/ha/tcp/tcp-network.js'
import { openDiskStorage } from '../../packages/core-cloud/dist/src/ha/wal/disk-storage.js'
import { diskFiles } from '../../packages/core-cloud/dist/src/kernel/files/disk-files.js'
import { CloudError, createLogger, systemClock, systemIds } from '../../packages/core-cloud/dist/src/kernel/index.js'

const setup = JSON.parse(process.argv[2])
const clock = systemClock({ keepAlive: true })
const ids = systemIds()
const logger = createLogger({
  now: () => clock.now(),
  write: ({ level, message, fields }) => process.send?.({ log: `${level} ${message} ${fields.error ?? ''}` }),
  level: 'warn',
})

/** Values by key, as text. */
class Values {
  values = new Map()

  apply(command, index) {
    const length = command[0]
    const text = Buffer.from(command.buffer, command.byteOffset, command.length)
    this.values.set(text.latin1Slice(1, 1 + length), text.latin1Slice(1 + length))
    const result = Buffer.allocUnsafe(4)
    result.writeUInt32LE(index % 2 ** 32)
    return result
  }

  async *snapshot() {
    const all = [...this.values]
    for (let at = 0; at < all.length; at += 1_000) yield Buffer.from(`${JSON.stringify(all.slice(at, at + 1_000))}\n`)
  }

  async restore(state) {
    const parts = []
    for await (const part of state) parts.push(part)
    const lines = Buffer.concat(parts).toString().split('\n').filter(Boolean)
    this.values = new Map(lines.flatMap(line => JSON.parse(line)))
  }
}

async function openNetwork() {
  const { node, raftPort, clusterKey } = setup
  if (setup.network !== 'libp2p') {
    return openTcpNetwork({ node, clusterKey, listen: `127.0.0.1:${raftPort}`, clock, ids, logger })
  }
  const { startLibp2p } = await import('../../packages/core-cloud/dist/src/ha/libp2p/libp2p.js')
  const keyFile = join(setup.dir, '..', `key-${node}`)
  const listen = `/ip4/127.0.0.1/tcp/${raftPort}`
  return (await startLibp2p({ self: node, clusterKey, keyFile, listen, clock, ids, logger })).network
}

const storage = await openDiskStorage({
  files: await diskFiles(setup.dir, process.pid),
  cluster: setup.cluster,
  node: setup.node,
  logger,
})
const network = await openNetwork()
const machine = new Values()
const node = await openNode({
  node: setup.node,
  storage,
  network,
  clock,
  ids,
  logger,
  groups: [{ group: 1, machine, first: initialMembership({ voters: [1, 2, 3] }) }],
  limits: { callMs: 5_000, ...setup.limits },
})
const replica = node.group(1)
void node.failed.then(error => {
  console.error(`node ${setup.node} failed: ${error.stack}`)
  process.exit(3)
})

const encode = (key, value) => Buffer.concat([Buffer.of(key.length), Buffer.from(key), value])
const answers = {
  async '/v3/kv/put'(text) {
    const { key, value } = JSON.parse(text)
    const { index } = await replica.propose(encode(Buffer.from(key, 'base64').toString(), Buffer.from(value, 'base64')))
    return { header: { revision: String(index) } }
  },
  async '/v3/kv/range'(text) {
    const { key } = JSON.parse(text)
    const index = await replica.read()
    const value = machine.values.get(Buffer.from(key, 'base64').toString())
    const kvs = value === undefined ? [] : [{ key, value: Buffer.from(value).toString('base64') }]
    return { header: { revision: String(index) }, kvs }
  },
  async '/status'() {
    const { role, term, leader, applied, committed } = replica.status
    return { role, term, leader, applied, committed }
  },
}

const server = createServer((request, response) => {
  const parts = []
  request.on('data', part => parts.push(part))
  request.on('end', async () => {
    let [status, body] = [200, undefined]
    try {
      body = await answers[request.url](Buffer.concat(parts).toString())
    } catch (error) {
      const named = CloudError.from(error)
      status = named.status
      body = named.toJSON()
    }
    const text = JSON.stringify(body)
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
    response.end(text)
  })
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () =>
  process.send({ ready: true, address: network.address, http: server.address().port }),
)

/** Proposers in this process, closed loop. */
async function load({ proposers, ms, bytes = 256 }) {
  const value = Buffer.alloc(bytes, 'x')
  const times = []
  const begin = performance.now()
  await Promise.all(
    Array.from({ length: proposers }, async (_, place) => {
      const command = encode(`p${place}`, value)
      while (performance.now() - begin < ms) {
        const from = performance.now()
        await replica.propose(command)
        times.push(performance.now() - from)
      }
    }),
  )
  const took = performance.now() - begin
  times.sort((a, b) => a - b)
  return {
    perSecond: (times.length / took) * 1_000,
    p50: times[times.length >> 1],
    p99: times[Math.floor(times.length * 0.99)],
  }
}

process.on('message', async message => {
  for (const [peer, address] of message.peers ?? []) if (peer !== setup.node) node.setPeer(peer, address)
  if (message.proposers !== undefined) {
    process.send({ loaded: await load(message).catch(error => ({ failed: String(error.stack) })) })
  }
  if (message.transfer !== undefined) {
    const from = performance.now()
    await replica.transfer(message.transfer)
    process.send({ transferred: performance.now() - from })
  }
  if (message.stop) {
    await node.close()
    process.exit(0)
  }
})
process.on('disconnect', () => process.exit(0))
