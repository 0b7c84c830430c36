// Every decoder of bytes from other processes or disks gets mutated inputs, AAAS_FUZZ_RUNS (150,000) each: those of the
// local driver and the logs, and those of the direct path and of NATS, each group more than a million.
const fixture = name => import(`../../packages/core-cloud/dist/test/bus/fixture/${name}.js`)
const { fuzz, fuzzTargets } = await fixture('wire-fuzz')
const { networkTargets } = await fixture('network-fuzz')
const { seededRandom } = await import('@aaas/testing')

export async function verify({ say }) {
  const runs = Number(process.env.AAAS_FUZZ_RUNS ?? 150_000)
  const seed = Date.now() >>> 0
  const before = process.memoryUsage().arrayBuffers
  const groups = { local: fuzzTargets, network: networkTargets }
  const totals = {}
  const targets = {}
  for (const [group, members] of Object.entries(groups)) {
    totals[group] = members.length * runs
    for (const [index, target] of members.entries()) {
      const started = performance.now()
      const outcome = fuzz(target, runs, seededRandom(seed + index))
      targets[target.name] = outcome
      say(`${target.name}: ${JSON.stringify(outcome)} in ${Math.round(performance.now() - started)} ms`)
    }
  }
  const grownBytes = process.memoryUsage().arrayBuffers - before
  const enough = Object.values(totals).every(total => total >= 1_000_000)
  return { ok: enough && grownBytes < 256 * 1024 * 1024, seed, totals, grownBytes, targets }
}
