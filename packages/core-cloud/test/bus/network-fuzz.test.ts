import { seededRandom } from '@aaas/testing'
import { test } from 'tap'
import { networkTargets } from './fixture/network-fuzz.js'
import { fuzz } from './fixture/wire-fuzz.js'

const perTarget = 5_000

test('mutated frames of the direct path and of NATS: read or refused by name, and nothing changed is believed', t => {
  const before = process.memoryUsage().arrayBuffers
  for (const [seed, target] of networkTargets.entries()) {
    const { refused, taken } = fuzz(target, perTarget, seededRandom(seed + 1))
    t.equal(refused + taken, perTarget, `${target.name}: ${refused} refused, ${taken} taken`)
  }
  t.ok(process.memoryUsage().arrayBuffers - before < 128 * 1024 * 1024)
  t.end()
})
