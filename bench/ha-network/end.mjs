// One end of a connection, driven over IPC by run.mjs: `node end.mjs KIND NODE`. KIND is libp2p or raw.
import { createHash } from 'node:crypto'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const [kind, id] = process.argv.slice(2)
const kernel = '../../packages/core-cloud/dist/src/kernel/index.js'
const payload = Buffer.alloc(256, 7)
let onBytes = () => undefined
const work = {
  connect: async ({ address }) => ready.connect(address),
  // One frame there and back after the other.
  async latency({ count }) {
    const times = []
    for (let at = 0; at < count; at++) {
      const start = process.hrtime.bigint()
      await new Promise(resolve => {
        onBytes = resolve
        ready.send(payload)
      })
      times.push(Number(process.hrtime.bigint() - start) / 1e3)
    }
    times.sort((a, b) => a - b)
    return { p50: times[Math.floor(count * 0.5)], p99: times[Math.floor(count * 0.99)] }
  },
  // `window` frames under way at any time.
  async pipelined({ count, window }) {
    const before = process.cpuUsage()
    const start = process.hrtime.bigint()
    await new Promise(resolve => {
      let sent = 0
      let back = 0
      const pump = () => {
        while (sent < count && sent - back < window) {
          sent += 1
          ready.send(payload)
        }
      }
      onBytes = bytes => {
        back += bytes / payload.length
        if (back >= count) resolve()
        else pump()
      }
      pump()
    })
    const seconds = Number(process.hrtime.bigint() - start) / 1e9
    const { user, system } = process.cpuUsage(before)
    return { perSecond: count / seconds, cpuMicros: (user + system) / count }
  },
  async memory() {
    globalThis.gc?.()
    return { rss: process.memoryUsage().rss / 1_048_576 }
  },
}

async function openRaw() {
  let out
  let held = 0
  const use = (socket, echo) => {
    socket.setNoDelay(true)
    socket.on('error', () => undefined)
    socket.on('data', data => {
      if (echo) return socket.write(data)
      held += data.length
      const whole = held - (held % payload.length)
      held -= whole
      if (whole > 0) onBytes(whole)
    })
  }
  const server = net.createServer(socket => use(socket, true)).listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  return {
    address: String(server.address().port),
    send: bytes => out.write(bytes),
    connect: async address => {
      out = net.connect(Number(address), '127.0.0.1')
      use(out, false)
      await new Promise(resolve => out.once('connect', resolve))
    },
  }
}

async function openDriver(name) {
  const { silentLogger, systemClock, systemIds } = await import(kernel)
  const network = await drivers[name]({
    self: Number(id),
    clock: systemClock(),
    ids: systemIds(),
    logger: silentLogger,
  })
  network.onFrame((from, frame) => {
    if (id === '2') network.send(from, [frame])
    else onBytes(frame.length)
  })
  return {
    address: network.address,
    send: bytes => network.send(2, [bytes]),
    connect: async address => {
      const up = new Promise(resolve => network.onPeer((_, state) => state === 'up' && resolve()))
      network.setPeer(2, address)
      await up
      await sleep(100)
    },
  }
}

const drivers = {
  async libp2p(ports) {
    const { startLibp2p } = await import('../../packages/core-cloud/dist/src/ha/libp2p/libp2p.js')
    const seed = createHash('sha256').update(`bench ${ports.self}`).digest()
    return (await startLibp2p({ ...ports, clusterKey: 'the key of this bench', seed })).network
  },
}

const ready = kind === 'raw' ? await openRaw() : await openDriver(kind)

process.on('message', async ({ ask, ...how }) => {
  const answer = await work[ask](how)
  process.send({ ask, ...answer })
})
process.on('disconnect', () => process.exit(0))
process.send({ ask: 'ready', address: ready.address })
