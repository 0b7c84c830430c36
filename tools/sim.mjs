// npm run sim [-- NAME ...] [options]: seeded simulations with faults. A failing seed is one number that reproduces the run.
// Exit code 1 when a promise was broken, or a planted bug not found. `--help` lists the options.
import { parseArgs } from 'node:util'
import { memoryLeasePool, memoryRatePool } from '../packages/access-cloud/dist/src/pool/index.js'
import { resources, simulate as simulateLease } from '../packages/access-cloud/dist/test/pool/lease-pool-simulation.js'
import { simulate as simulateRate } from '../packages/access-cloud/dist/test/pool/rate-pool-simulation.js'
import { loadMutant, raftMutants } from '../packages/core-cloud/dist/test/ha/raft-sim/raft-mutants.js'
import { simulateRaft } from '../packages/core-cloud/dist/test/ha/raft-sim/raft-simulation.js'

const simulations = {
  'rate-pool': async seed => ({ flaws: await simulateRate(seed, world => memoryRatePool(world)) }),
  'lease-pool': async seed => ({ flaws: await simulateLease(seed, clock => memoryLeasePool({ resources, clock })) }),
  raft: seed => runRaft(seed),
}
const usage = `usage: npm run sim [-- NAME ...] [options]
NAME is one of: ${Object.keys(simulations).join(', ')}; without it all run
  --seeds N     how many runs of each (200; of each planted bug at most: 3000)
  --from S      the first seed (1); 'day' for one that moves by 100,000 every day
  --run R       the first seed is 1 + R * N: for the number of a CI run, so that no two runs see the same seeds
  --minutes M   ends early, after the run under way; of several NAMEs each has its share
  --seed S      one run; with --trace (raft) every message, write and fault is a line
  --liveness    raft: faults that end six times in a run; prints how long the group took to be back
  --digests     raft: prints a digest of everything that happened in each run
  --mutants     plants bugs in the Raft core and its driver, one after the other, and looks for each`
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: 'string' },
    from: { type: 'string', default: '1' },
    run: { type: 'string' },
    seed: { type: 'string' },
    minutes: { type: 'string', default: 'Infinity' },
    trace: { type: 'boolean', default: false },
    liveness: { type: 'boolean', default: false },
    digests: { type: 'boolean', default: false },
    mutants: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
const count = Number(values.seeds ?? (values.mutants ? 3_000 : 200))
const from = firstSeed()
const minutes = Number(values.minutes)
const sound = [count, from].every(value => Number.isSafeInteger(value) && value >= 0) && minutes > 0
if (values.help || !sound || positionals.some(name => !Object.hasOwn(simulations, name))) {
  console.error(usage)
  process.exit(values.help ? 0 : 2)
}
const last = values.seed === undefined ? from + count - 1 : from
process.exit(values.mutants ? await findMutants() : await simulate())

function firstSeed() {
  if (values.seed !== undefined) return Number(values.seed)
  if (values.run !== undefined) return 1 + Number(values.run) * count
  return values.from === 'day' ? 1 + (Math.floor(Date.now() / 86_400_000) % 40_000) * 100_000 : Number(values.from)
}

/** True until the time given (of `parts` equal ones) has passed. */
function deadline(parts) {
  const until = performance.now() + (minutes * 60_000) / parts
  return () => performance.now() < until
}

async function simulate() {
  const names = positionals.length > 0 ? positionals : Object.keys(simulations)
  let broken = 0
  for (const name of names) {
    const [started, inTime] = [performance.now(), deadline(names.length)]
    const runs = []
    let seed = from
    for (; seed <= last && inTime(); seed++) {
      const run = await simulations[name](seed)
      runs.push({ ...run, flaws: undefined })
      if (values.digests) console.log(`${name} seed ${seed}: ${run.digest}`)
      if (run.flaws.length === 0) continue
      broken += 1
      console.log(`${name} seed ${seed}: ${run.flaws.join('; ')}`)
    }
    const seconds = (performance.now() - started) / 1000
    console.log(
      `${name}: ${runs.length} seeds, ${from} to ${seed - 1}, in ${seconds.toFixed(1)} s${facts(runs, seconds)}`,
    )
  }
  console.log(broken === 0 ? 'every promise held' : `${broken} seeds broke a promise`)
  return broken === 0 ? 0 : 1
}

/** Totals of the simulations that count. */
function facts(runs, seconds) {
  if (runs[0]?.events === undefined) return ''
  const total = name => runs.reduce((sum, run) => sum + run[name], 0)
  const kiloPerSecond = (total('events') / seconds / 1000).toFixed(0)
  const recoveries = runs.flatMap(run => run.recoveries)
  const of = name => {
    const sorted = recoveries.map(recovery => recovery[name]).sort((a, b) => a - b)
    return `median ${sorted[Math.floor(sorted.length / 2)]?.toFixed(0)} ms, at most ${sorted.at(-1)?.toFixed(0)} ms`
  }
  return `
  ${total('events')} events (${kiloPerSecond} k/s), ${total('elections')} elections, ${total('chosen')} entries chosen, ${total('answered')} calls answered
  ${recoveries.length} recoveries, of virtual time from the end of the faults: to the next write ${of('serviceMs')}; until all agree ${of('convergedMs')}`
}

function runRaft(seed, parts) {
  const trace = values.trace && values.seed !== undefined ? line => console.log(line) : undefined
  return simulateRaft(seed, { parts, trace, mode: values.liveness ? 'liveness' : 'storm' })
}

async function findMutants() {
  const started = performance.now()
  let missed = 0
  for (const mutant of raftMutants) {
    const [begun, inTime] = [performance.now(), deadline(raftMutants.length)]
    const parts = await loadMutant(mutant)
    let found
    let seed = from
    for (; seed <= last && found === undefined && inTime(); seed++) {
      const [flaw] = runRaft(seed, parts).flaws
      if (flaw !== undefined) found = `seed ${seed}: ${flaw}`
    }
    if (found === undefined) missed += 1
    const how = found?.slice(0, 110) ?? `seeds ${from} to ${seed - 1}`
    const seconds = ((performance.now() - begun) / 1000).toFixed(1)
    console.log(`${found === undefined ? 'MISSED' : 'found '} ${mutant.name} (${seconds} s, ${how})`)
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(0)
  console.log(`${raftMutants.length - missed} of ${raftMutants.length} planted bugs found in ${seconds} s`)
  return missed === 0 ? 0 : 1
}
