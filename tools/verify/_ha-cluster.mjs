// Three processes of `_ha-node.mjs`: started, killed, started again.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('_ha-node.mjs', import.meta.url))

export class HaCluster {
  dir
  /** By node: { child, http, address }; absent while it is down. */
  nodes = new Map()
  logs = []

  constructor({ network = 'tcp', dir, limits = {} } = {}) {
    this.network = network
    this.dir = dir ?? mkdtempSync(join(tmpdir(), 'aaas-ha-'))
    this.ownsDir = dir === undefined
    this.limits = limits
    this.ports = new Map()
    this.addresses = new Map()
  }

  async start() {
    for (const node of [1, 2, 3]) this.ports.set(node, await freePort())
    await Promise.all([1, 2, 3].map(node => this.startNode(node)))
  }

  async startNode(node) {
    const setup = {
      node,
      dir: join(this.dir, `n${node}`),
      raftPort: this.ports.get(node),
      cluster: 'verify',
      clusterKey: 'only for this demonstration',
      network: this.network,
      limits: this.limits,
    }
    const child = fork(program, [JSON.stringify(setup)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    child.on('message', message => {
      if (message.log !== undefined) this.logs.push(`node ${node}: ${message.log}`)
    })
    this.nodes.set(node, { child, http: undefined })
    const { http, address } = await answerOf(child, message => message.ready)
    this.addresses.set(node, address)
    this.nodes.set(node, { child, http })
    child.once('exit', () => {
      if (this.nodes.get(node)?.child === child) this.nodes.delete(node)
    })
    for (const other of this.nodes.values()) {
      if (other.child.connected) other.child.send({ peers: [...this.addresses] }, () => undefined)
    }
  }

  /** `kill -9`, and gone when it resolves. */
  async kill(node) {
    const { child } = this.nodes.get(node)
    this.nodes.delete(node)
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  signal(node, signal) {
    this.nodes.get(node)?.child.kill(signal)
  }

  /** Asks a process to do something and waits for what it says. */
  async ask(node, question, wanted) {
    const { child } = this.nodes.get(node)
    const answer = answerOf(child, message => message[wanted] !== undefined)
    child.send(question)
    return (await answer)[wanted]
  }

  async stopNode(node) {
    const { child } = this.nodes.get(node)
    this.nodes.delete(node)
    const gone = once(child, 'exit')
    child.send({ stop: true })
    await gone
  }

  async status(node) {
    const place = this.nodes.get(node)
    if (place === undefined) return undefined
    const answer = await post({ port: place.http, path: '/status', body: {}, timeout: 300 })
    return answer.status === 200 ? answer.body : undefined
  }

  /** @returns the node that leads, when all that run agree on it. */
  async leader(within = 20_000) {
    const end = performance.now() + within
    for (;;) {
      const all = await Promise.all([...this.nodes.keys()].map(node => this.status(node)))
      const found = all.find(status => status?.role === 'leader')?.leader
      if (found !== undefined && all.every(status => status?.leader === found)) return found
      if (performance.now() > end) throw new Error(`no leader: ${JSON.stringify(all)}`)
      await new Promise(resolve => setTimeout(resolve, 10))
    }
  }

  async stop() {
    for (const node of [...this.nodes.keys()]) await this.kill(node)
    if (this.ownsDir) rmSync(this.dir, { recursive: true, force: true })
  }
}

async function answerOf(child, fits) {
  return new Promise((resolve, reject) => {
    const done = () => {
      child.off('message', onMessage)
      child.off('exit', onExit)
    }
    const onMessage = message => {
      if (!fits(message)) return
      done()
      resolve(message)
    }
    const onExit = code => {
      done()
      reject(new Error(`a process ended with ${code}`))
    }
    child.on('message', onMessage)
    child.on('exit', onExit)
  })
}

const agent = new Agent({ keepAlive: true, maxSockets: 256 })

/**
 * One request, never repeated. @returns { status, body }; status 0 when no answer came, `sent` then says whether the
 * request may have arrived.
 */
export function post({ port, path, body, timeout = 8_000 }) {
  return new Promise(resolve => {
    const text = JSON.stringify(body)
    let sent = false
    const outgoing = request(
      { agent, host: '127.0.0.1', port, method: 'POST', path, timeout, headers: { 'content-length': text.length } },
      response => {
        const parts = []
        response.on('data', part => parts.push(part))
        response.on('end', () => {
          try {
            resolve({ status: response.statusCode, body: JSON.parse(Buffer.concat(parts).toString()) })
          } catch {
            resolve({ status: 0, sent: true })
          }
        })
        response.on('error', () => resolve({ status: 0, sent: true }))
        response.on('aborted', () => resolve({ status: 0, sent: true }))
      },
    )
    outgoing.on('socket', socket => {
      if (!socket.connecting) sent = true
      else socket.once('connect', () => (sent = true))
    })
    outgoing.on('timeout', () => outgoing.destroy(new Error('timeout')))
    outgoing.on('error', () => resolve({ status: 0, sent }))
    outgoing.end(text)
  })
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  await once(probe, 'close')
  return port
}
