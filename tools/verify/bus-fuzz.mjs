// Every decoder of bytes from other processes or disks gets mutated inputs, 1,650,000 together (AAAS_FUZZ_RUNS each).
const { fuzz, fuzzTargets } = await import('../../packages/core-cloud/dist/test/bus/fixture/wire-fuzz.js')
const { seededRandom } = await import('@aaas/testing')

export async function verify({ say }) {
  const runs = Number(process.env.AAAS_FUZZ_RUNS ?? 150_000)
  const seed = Date.now() >>> 0
  const before = process.memoryUsage().arrayBuffers
  const targets = {}
  let total = 0
  for (const [index, target] of fuzzTargets.entries()) {
    const started = performance.now()
    const outcome = fuzz(target, runs, seededRandom(seed + index))
    total += runs
    targets[target.name] = outcome
    say(`${target.name}: ${JSON.stringify(outcome)} in ${Math.round(performance.now() - started)} ms`)
  }
  const grownBytes = process.memoryUsage().arrayBuffers - before
  return { ok: total >= 1_000_000 && grownBytes < 256 * 1024 * 1024, seed, total, grownBytes, targets }
}
