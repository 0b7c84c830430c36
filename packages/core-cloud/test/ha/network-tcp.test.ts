import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createConnection } from 'node:net'
import type { HaNetwork } from '@aaas/core-cloud/ha'
import { type CloudError, silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { eventually } from '@aaas/testing'
import { test } from 'tap'
import { networkSuite } from '../../src/ha/network-suite.js'
import { openTcpNetwork, type TcpNetworkOptions } from '../../src/ha/tcp/tcp-network.js'

const clock = systemClock({ keepAlive: true })
const clusterKey = 'a key that only the cluster has'
const maxQueuedBytes = 4 * 1024 * 1024
const pause = (): Promise<void> => new Promise(resolve => void clock.after(5, resolve))

function open(options: Partial<TcpNetworkOptions> & { readonly node: number }): Promise<HaNetwork> {
  return openTcpNetwork({ clusterKey, clock, ids: systemIds(), logger: silentLogger, maxQueuedBytes, ...options })
}

networkSuite(test, async () => {
  const opened: HaNetwork[] = []
  return {
    maxQueuedBytes,
    pause,
    async open(node) {
      const network = await open({ node })
      opened.push(network)
      return network
    },
    async [Symbol.asyncDispose]() {
      for (const network of opened) await network.close()
    },
  }
})

test('a node with another key is refused by name on both sides, once each, and nothing is exchanged', async () => {
  const refusals: string[] = []
  const note =
    (who: string) =>
    (error: CloudError): void =>
      void refusals.push(`${who} ${error.code}`)
  const near = await open({ node: 1, onRefusal: note('near') })
  const far = await open({ node: 2, clusterKey: 'the key of another cluster', onRefusal: note('far') })
  near.setPeer(2, far.address)
  await eventually('both have said so', () => refusals.length >= 2)
  for (let turn = 0; turn < 60; turn++) await pause()
  assert.deepEqual(refusals.toSorted(), ['far core.ha.wrong-cluster', 'near core.ha.wrong-cluster'])
  assert.equal(near.send(2, [Buffer.from('x')]), false)
  await near.close()
  await far.close()
})

test('a second living node of the same id is refused by name; one that was started again is not', async () => {
  const refusals: string[] = []
  const near = await open({ node: 1, onRefusal: error => refusals.push(error.code) })
  const far = await open({ node: 2 })
  far.setPeer(1, near.address)
  await eventually('it is connected', () => near.send(2, [Buffer.from('x')]))
  const twin = await open({ node: 2, onRefusal: error => refusals.push(`twin ${error.code}`) })
  twin.setPeer(1, near.address)
  await eventually('both have said so', () => refusals.length >= 2)
  assert.deepEqual(refusals.toSorted(), ['core.ha.duplicate-node', 'twin core.ha.duplicate-node'])
  assert(near.send(2, [Buffer.from('x')]))
  await far.close()
  await eventually('the other takes its place', () => near.send(2, [Buffer.from('x')]))
  await twin.close()
  await near.close()
})

test('an address that belongs to a node of another id is refused by name', async () => {
  const refusals: string[] = []
  const near = await open({ node: 1, onRefusal: error => refusals.push(error.code) })
  const far = await open({ node: 2 })
  near.setPeer(7, far.address)
  await eventually('it is refused', () => refusals.length === 1)
  assert.deepEqual(refusals, ['core.ha.duplicate-node'])
  await near.close()
  await far.close()
})

test('a node of a newer version is refused by name', async () => {
  const refusals: string[] = []
  const near = await open({ node: 1, onRefusal: error => refusals.push(error.code) })
  const [, port] = near.address.split(':')
  const socket = createConnection({ host: '127.0.0.1', port: Number(port) })
  socket.write(Buffer.concat([Buffer.from('AHN'), Buffer.of(2, 1), Buffer.alloc(56)]))
  const [answer] = (await once(socket, 'data')) as [Buffer]
  assert.deepEqual([...answer], [1, 2])
  await eventually('it has said so', () => refusals.length === 1)
  assert.deepEqual(refusals, ['core.ha.newer-version'])
  socket.destroy()
  await near.close()
})

test('strangers are bounded, and one that says nothing or nonsense harms nobody', async () => {
  const near = await open({ node: 1, maxStrangers: 2 })
  const far = await open({ node: 2 })
  const [, port] = near.address.split(':')
  const knock = async (words: string): Promise<ReturnType<typeof createConnection>> => {
    const socket = createConnection({ host: '127.0.0.1', port: Number(port) })
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    if (words !== '') socket.write(words)
    return socket
  }
  const silent = [await knock(''), await knock('')]
  const third = await knock('')
  await once(third, 'close')
  for (const socket of silent) socket.destroy()
  const rude = await knock('GET / HTTP/1.1\r\n\r\n')
  await once(rude.resume(), 'close')
  far.setPeer(1, near.address)
  await eventually('a node gets in', () => far.send(1, [Buffer.from('x')]))
  await near.close()
  await far.close()
})

test('a key that is too short and an address that is none are refused', async () => {
  await assert.rejects(open({ node: 1, clusterKey: 'fifteen letters' }), {
    code: 'core.kernel.invalid-config',
    field: 'clusterKey',
  })
  const near = await open({ node: 1, clusterKey: 'sixteen letters!' })
  assert.throws(() => near.setPeer(2, 'nowhere'), { code: 'core.kernel.invalid-config', field: 'address' })
  await near.close()
})
