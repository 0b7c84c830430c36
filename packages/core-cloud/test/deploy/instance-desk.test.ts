import { silentLogger as logger } from '@aaas/core-cloud/kernel'
import type { Reading } from '@aaas/core-cloud/metering'
import { ManualClock } from '@aaas/testing'
import { test } from 'tap'
import { CredentialCheck } from '../../src/bus/direct/direct-credential.js'
import { identityOf } from '../../src/deploy/admissions.js'
import { createDirectIssuer, keysOf } from '../../src/deploy/direct-issuer.js'
import { createInstanceDesk } from '../../src/deploy/instance-desk.js'
import { desiredSite } from './simulated-site.js'

const shop = desiredSite({ version: 1, generation: 1 })
const payment = desiredSite({ version: 1, generation: 1, site: 'payment', kind: 'service' })

test('what an instance may do directly is what it may do on the hub, and is renewed long before it ends', async t => {
  const clock = new ManualClock()
  const renewed: string[] = []
  using issuer = createDirectIssuer({ cluster: 'h1', clock, renewed: (id, text) => renewed.push(`${id} ${text}`) })
  const given = issuer.admit('i1', identityOf(shop))
  issuer.admit('i2', identityOf(payment))
  const { issuer: issuerKey } = keysOf({ ...given, socketPath: '/run/d-i1.sock' })
  const check = new CredentialCheck({ issuers: [issuerKey], cluster: 'h1' })
  const read = (text: string) => check.read(text, clock.now())
  t.same(read(given.credential).identity, identityOf(shop))
  issuer.revoke('i2')
  for (let day = 1; day <= 5; day++) {
    await clock.pass(86_400_000)
    t.equal(renewed.length, day, 'of those that are there')
    t.same(read(renewed[day - 1]?.slice(3) ?? '').identity, identityOf(shop))
  }
  t.throws(() => read(given.credential), { code: 'core.bus.bad-signature' })
})

test('readings are taken from services, about what was used of them, and from nobody else', t => {
  const taken: Reading[] = []
  const spool = { put: (reading: Reading) => void taken.push(reading), flush: async () => true, unsent: 0 }
  const desk = createInstanceDesk({ spool, logger })
  const process = { metrics: async () => undefined, renew: () => undefined }
  desk.add('s1', shop, process)
  desk.add('p1', payment, process)
  const reading: Reading = {
    source: 'p1.direct',
    site: 'shop',
    epoch: 'e',
    seq: 1,
    at: 1,
    counters: { busMessages: 3 },
  }
  desk.readings('p1', [reading])
  t.same(taken, [reading])
  desk.readings('s1', [{ ...reading, source: 's1.direct' }])
  desk.readings('gone', [reading])
  for (const wrong of [
    { ...reading, source: 'h1.hub' },
    { ...reading, source: 's1.direct' },
    { ...reading, counters: { busMessages: -1 } },
    { ...reading, more: 1 },
  ])
    desk.readings('p1', [reading, wrong])
  desk.readings('p1', 'nonsense')
  desk.readings('p1', Array(10_001).fill(reading))
  t.equal(taken.length, 1)
  t.end()
})

test('an instance that says nothing is down, and cannot say that it is up', async t => {
  const spool = { put: () => undefined, flush: async () => true, unsent: 0 }
  const desk = createInstanceDesk({ spool, logger })
  const gauge = (name: string, value: number) => ({
    name,
    help: '',
    type: 'gauge' as const,
    samples: [{ suffix: '', labels: [], value }],
  })
  desk.add('s1', shop, { metrics: async () => undefined, renew: () => undefined })
  const said = [gauge('aaas_instance_up', 7), gauge('own', 1)]
  desk.add('s2', shop, { metrics: async () => said, renew: () => undefined })
  const found = await desk.metrics()
  t.same(
    found.map(({ labels, families }) => [labels.site_instance, families.map(one => [one.name, one.samples[0]?.value])]),
    [
      ['s1', [['aaas_instance_up', 0]]],
      [
        's2',
        [
          ['aaas_instance_up', 1],
          ['own', 1],
        ],
      ],
    ],
  )
})
