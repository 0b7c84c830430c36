// npm run sim [-- NAME] [--seeds N] [--from S] [--seed S]: seeded simulations with faults. A failing seed is one number
// that reproduces the run. Exit code 1 when a promise was broken.
import { parseArgs } from 'node:util'
import { memoryLeasePool, memoryRatePool } from '../packages/access-cloud/dist/src/pool/index.js'
import { resources, simulate as simulateLease } from '../packages/access-cloud/dist/test/pool/lease-pool-simulation.js'
import { simulate as simulateRate } from '../packages/access-cloud/dist/test/pool/rate-pool-simulation.js'

const simulations = {
  'rate-pool': seed => simulateRate(seed, world => memoryRatePool(world)),
  'lease-pool': seed => simulateLease(seed, clock => memoryLeasePool({ resources, clock })),
}
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: 'string', default: '200' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    help: { type: 'boolean' },
  },
})
if (values.help || positionals.some(name => !Object.hasOwn(simulations, name))) {
  console.error(
    `usage: npm run sim [-- NAME ...] [--seeds N] [--from S] [--seed S]\nNAME is one of: ${Object.keys(simulations).join(', ')}`,
  )
  process.exit(values.help ? 0 : 2)
}
const first = Number(values.seed ?? values.from)
const last = values.seed === undefined ? first + Number(values.seeds) - 1 : first
let broken = 0
for (const name of positionals.length > 0 ? positionals : Object.keys(simulations)) {
  const started = performance.now()
  for (let seed = first; seed <= last; seed++) {
    const flaws = await simulations[name](seed)
    if (flaws.length === 0) continue
    broken += 1
    console.log(`${name} seed ${seed}: ${flaws.join('; ')}`)
  }
  console.log(`${name}: seeds ${first} to ${last} in ${((performance.now() - started) / 1000).toFixed(1)} s`)
}
console.log(broken === 0 ? 'every promise held' : `${broken} seeds broke a promise`)
process.exit(broken === 0 ? 0 : 1)
