// Three private etcd processes on free ports, as Debian ships them, with their defaults.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

export const etcdProgram = ['/usr/bin/etcd', '/usr/local/bin/etcd'].find(existsSync)

export class EtcdCluster {
  #dir
  #ports = new Map()
  /** By node: the process; absent while it is down. */
  #children = new Map()

  constructor(dir) {
    this.#dir = dir
  }

  async start() {
    for (const node of [1, 2, 3]) this.#ports.set(node, { client: await freePort(), peer: await freePort() })
    for (const node of [1, 2, 3]) this.startNode(node)
    await this.leader()
  }

  get nodes() {
    return [...this.#children.keys()]
  }

  port(node) {
    return this.#ports.get(node).client
  }

  startNode(node) {
    const url = port => `http://127.0.0.1:${port}`
    const { client, peer } = this.#ports.get(node)
    const members = [...this.#ports].map(([id, ports]) => `n${id}=${url(ports.peer)}`).join(',')
    const args = {
      name: `n${node}`,
      'data-dir': join(this.#dir, `etcd-${node}`),
      'listen-client-urls': url(client),
      'advertise-client-urls': url(client),
      'listen-peer-urls': url(peer),
      'initial-advertise-peer-urls': url(peer),
      'initial-cluster': members,
      'initial-cluster-state': 'new',
      'log-level': 'error',
    }
    const list = Object.entries(args).flatMap(([name, value]) => [`--${name}`, value])
    this.#children.set(node, spawn(etcdProgram, list, { stdio: 'ignore' }))
  }

  async kill(node) {
    const child = this.#children.get(node)
    this.#children.delete(node)
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  /** @returns the node that all that run say leads. */
  async leader() {
    const end = performance.now() + 30_000
    for (;;) {
      const all = await Promise.all(this.nodes.map(node => this.#status(node)))
      const id = all[0]?.leader
      if (id !== undefined && id !== '0' && all.every(status => status?.leader === id)) {
        const found = all.find(status => status.header.member_id === id)
        if (found !== undefined) return found.node
      }
      if (performance.now() > end) throw new Error('etcd has no leader')
      await pause(20)
    }
  }

  async #status(node) {
    try {
      const answer = await fetch(`http://127.0.0.1:${this.port(node)}/v3/maintenance/status`, {
        method: 'POST',
        body: '{}',
        signal: AbortSignal.timeout(500),
      })
      return { node, ...(await answer.json()) }
    } catch {
      return undefined
    }
  }

  async stop() {
    for (const node of this.nodes) await this.kill(node)
  }
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  await once(probe, 'close')
  return port
}
