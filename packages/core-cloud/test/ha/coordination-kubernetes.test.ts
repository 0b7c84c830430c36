import assert from 'node:assert/strict'
import { ManualClock, seededIds } from '@aaas/testing'
import { test } from 'tap'
import { type CoordinationFixture, coordinationSuite } from '../../src/ha/coordination-suite.js'
import {
  type KubernetesLeaseOptions,
  kubernetesLeaseCoordination,
  type LeaseFault,
  leaseSimulator,
} from '../../src/ha/kubernetes-lease/kubernetes-lease.js'

const features = { fair: false, keyTtl: false, everyChange: false, keys: false }

function cluster(clock = new ManualClock()) {
  const simulator = leaseSimulator({ clock, latencyMs: 5 })
  const dead = new Set<string>()
  let ids = 0
  const node = (name: string, options: Partial<KubernetesLeaseOptions> = {}) =>
    kubernetesLeaseCoordination({
      clock,
      ids: seededIds(++ids),
      node: name,
      namespace: 'shop',
      server: 'https://cluster.test',
      pollMs: 200,
      fetch: (url, init) => (dead.has(name) ? new Promise(() => undefined) : simulator.fetch(url, init)),
      ...options,
    })
  return { clock, simulator, dead, node }
}

test('on Lease objects', async t => {
  coordinationSuite(
    (name, fn) => t.test(name, { timeout: 20_000 }, fn),
    async () => {
      const { clock, dead, node } = cluster()
      const names = ['a', 'b']
      let life = 1
      const start = () => names.map(name => node(`${name}${life}`))
      let nodes = start()
      const fixture: CoordinationFixture = {
        nodes,
        pass: ms => clock.pass(ms),
        kill: async one => {
          dead.add(`${names[nodes.indexOf(one)]}${life}`)
        },
        restart: async () => {
          for (const name of names) dead.add(`${name}${life}`)
          life += 1
          nodes = start()
          return nodes
        },
        async [Symbol.asyncDispose]() {},
      }
      return fixture
    },
    features,
  )
})

test('every fault of the API server leaves one holder, and tokens that rise', async () => {
  const { clock, simulator, node } = cluster()
  const [a, b] = [node('a'), node('b')]
  const faults: LeaseFault[] = ['conflict', 'refused', 'lost', 'busy', 'silent']
  let last = 0
  for (const fault of faults) {
    for (const method of ['GET', 'POST', 'PUT'] as const) {
      simulator.fail(fault, method)
      const waiting = a.lock('Job_1', { ttlMs: 10_000, deadline: clock.now() + 60_000 })
      await clock.pass(40_000)
      const lease = await waiting
      lease.assertHeld()
      assert.ok(lease.token > last, `${fault} of ${method}: ${lease.token} after ${last}`)
      last = lease.token
      assert.equal(await soon(clock, b.lease('Job_1')), undefined)
      simulator.fail(fault, method)
      await clock.pass(10_000)
      lease.assertHeld()
      await soon(clock, lease.release())
    }
  }
})

test('what others see is what kubectl shows', async () => {
  const { clock, simulator, node } = cluster()
  const a = node('host-a')
  await soon(clock, a.lease('billing', { ttlMs: 1_500, value: '10.0.0.1:80' }))
  await soon(clock, a.lease('Billing_2'))
  const [first, second] = simulator.objects()
  assert.equal(first?.metadata.name, 'aaas-billing')
  assert.match(first?.spec.holderIdentity ?? '', /^host-a:/)
  assert.deepEqual([first?.spec.leaseDurationSeconds, first?.spec.leaseTransitions], [2, 1])
  assert.match(second?.metadata.name ?? '', /^aaas-sha256-[0-9a-f]{64}$/)
  assert.equal(second?.metadata.annotations?.['aaas.dev/name'], 'Billing_2')
})

test('a refused account is told at once, and wrong options with their field', async () => {
  const { clock, node } = cluster()
  const forbidden = node('a', { fetch: async () => ({ status: 403, text: async () => '{"message":"no"}' }) })
  await assert.rejects(soon(clock, forbidden.lock('job')), { code: 'core.contract.forbidden' })
  for (const [field, value] of Object.entries({ namespace: 'Shop', prefix: '_', server: 'x', pollMs: 99, node: 'a b' }))
    assert.throws(() => node('a', { [field]: value }), { code: 'core.ha.invalid-argument', field })
})

async function soon<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined)
  await clock.pass(1_000)
  return await promise
}
