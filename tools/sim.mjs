// npm run sim [-- NAME] [--seeds N] [--from S] [--seed S [--trace]] [--minutes M] [--mutants]: seeded simulations with faults.
// A failing seed is one number that reproduces the run. Exit code 1 when a promise was broken, or a planted bug not found.
import { parseArgs } from 'node:util'
import { memoryLeasePool, memoryRatePool } from '../packages/access-cloud/dist/src/pool/index.js'
import { resources, simulate as simulateLease } from '../packages/access-cloud/dist/test/pool/lease-pool-simulation.js'
import { simulate as simulateRate } from '../packages/access-cloud/dist/test/pool/rate-pool-simulation.js'
import { loadMutant, raftMutants } from '../packages/core-cloud/dist/test/ha/raft-sim/raft-mutants.js'
import { simulateRaft } from '../packages/core-cloud/dist/test/ha/raft-sim/raft-simulation.js'

const simulations = {
  'rate-pool': seed => simulateRate(seed, world => memoryRatePool(world)),
  'lease-pool': seed => simulateLease(seed, clock => memoryLeasePool({ resources, clock })),
  raft: seed => raftFlaws(seed),
}
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: 'string', default: '200' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    minutes: { type: 'string' },
    trace: { type: 'boolean' },
    mutants: { type: 'boolean' },
    help: { type: 'boolean' },
  },
})
if (values.help || positionals.some(name => !Object.hasOwn(simulations, name))) {
  console.error(`usage: npm run sim [-- NAME ...] [--seeds N] [--from S] [--seed S [--trace]] [--minutes M] [--mutants]
NAME is one of: ${Object.keys(simulations).join(', ')}
--minutes ends the run early; --trace (raft) writes what happens as lines of JSON;
--mutants plants bugs in the Raft core, one after the other, and looks for each in at most --seeds runs`)
  process.exit(values.help ? 0 : 2)
}
const first = Number(values.seed ?? values.from)
const last = values.seed === undefined ? first + Number(values.seeds) - 1 : first
const until =
  values.minutes === undefined ? Number.POSITIVE_INFINITY : performance.now() + Number(values.minutes) * 60_000
process.exit(values.mutants ? await findMutants() : await simulate())

async function simulate() {
  let broken = 0
  for (const name of positionals.length > 0 ? positionals : Object.keys(simulations)) {
    const started = performance.now()
    let seed = first
    for (; seed <= last && performance.now() < until; seed++) {
      const flaws = await simulations[name](seed)
      if (flaws.length === 0) continue
      broken += 1
      console.log(`${name} seed ${seed}: ${flaws.join('; ')}`)
    }
    console.log(`${name}: seeds ${first} to ${seed - 1} in ${((performance.now() - started) / 1000).toFixed(1)} s`)
  }
  console.log(broken === 0 ? 'every promise held' : `${broken} seeds broke a promise`)
  return broken === 0 ? 0 : 1
}

function raftFlaws(seed, Raft) {
  const trace = values.trace && values.seed !== undefined ? line => console.log(line) : undefined
  try {
    return simulateRaft(seed, Raft, trace).flaws
  } catch (error) {
    return [`threw: ${error.message}`]
  }
}

async function findMutants() {
  let missed = 0
  for (const mutant of raftMutants) {
    const Raft = await loadMutant(mutant)
    let found
    for (let seed = first; seed <= last && found === undefined && performance.now() < until; seed++) {
      const [flaw] = raftFlaws(seed, Raft)
      if (flaw !== undefined) found = `seed ${seed}: ${flaw}`
    }
    if (found === undefined) missed += 1
    console.log(
      `${found === undefined ? 'MISSED' : 'found '} ${mutant.name}${found === undefined ? '' : ` (${found.slice(0, 100)})`}`,
    )
  }
  console.log(`${raftMutants.length - missed} of ${raftMutants.length} planted bugs found`)
  return missed === 0 ? 0 : 1
}
