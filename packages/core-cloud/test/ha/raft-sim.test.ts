import assert from 'node:assert/strict'
import { test } from 'tap'
import { loadMutant, raftMutants } from './raft-sim/raft-mutants.js'
import { simulateRaft } from './raft-sim/raft-simulation.js'

// A taste: `npm run sim -- raft --seeds 10000` and `npm run sim -- --mutants` are the real thing.
test('twelve lives under faults: nothing is broken', async () => {
  for (let seed = 1; seed <= 12; seed++) assert.deepEqual(simulateRaft(seed).flaws, [], `seed ${seed}`)
})

test('the same seed is the same life', async () => {
  assert.deepEqual(simulateRaft(5), simulateRaft(5))
  assert.notEqual(simulateRaft(5).digest, simulateRaft(6).digest)
})

test('every planted bug still fits the core, and an easy one is found', async () => {
  const [first] = raftMutants
  for (const mutant of raftMutants) await loadMutant(mutant)
  assert(first !== undefined)
  const Raft = await loadMutant(first)
  const found = [1, 2, 3, 4, 5].some(seed => {
    try {
      return simulateRaft(seed, Raft).flaws.length > 0
    } catch {
      return true
    }
  })
  assert(found, `'${first.name}' was not found`)
})
