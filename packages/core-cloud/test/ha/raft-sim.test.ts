import assert from 'node:assert/strict'
import { test } from 'tap'
import { loadMutant, raftMutants } from './raft-sim/raft-mutants.js'
import { simulateRaft } from './raft-sim/raft-simulation.js'

// A taste: `npm run sim -- raft --seeds 10000` and `npm run sim -- --mutants` are the real thing.
test('twelve lives under faults: nothing is broken', async () => {
  for (let seed = 1; seed <= 12; seed++) assert.deepEqual(simulateRaft(seed).flaws, [], `seed ${seed}`)
})

test('faults that end again and again: the group is back within the bound each time', async () => {
  for (let seed = 1; seed <= 4; seed++) {
    const { flaws, recoveries } = simulateRaft(seed, { mode: 'liveness' })
    assert.deepEqual(flaws, [], `seed ${seed}`)
    assert.equal(recoveries.length, 6)
  }
})

// Recorded on Node 20 and 24. A change of the core or of the faults changes them: `npm run sim -- raft --seeds 3 --digests`.
test('a seed is the same life on every version of Node', async () => {
  const recorded = ['507105460bdf15db', '32c56b7b59a0604d', '6ce5362c7c266b58']
  const digests = [1, 2, 3].map(seed => simulateRaft(seed).digest)
  assert.deepEqual(digests, recorded)
})

test('to be watched or not changes nothing', async () => {
  const lines: string[] = []
  assert.deepEqual(simulateRaft(7, { trace: line => lines.push(line) }), simulateRaft(7))
  assert(lines.some(line => /n\d leader t\d+ \| sends n\d append/.test(line)))
})

test('the same seed is the same life', async () => {
  assert.deepEqual(simulateRaft(5), simulateRaft(5))
  assert.notEqual(simulateRaft(5).digest, simulateRaft(6).digest)
})

test('every planted bug still fits the core, and an easy one is found', async () => {
  const [first] = raftMutants
  for (const mutant of raftMutants) await loadMutant(mutant)
  assert(first !== undefined)
  const parts = await loadMutant(first)
  assert(
    [1, 2, 3, 4, 5].some(seed => simulateRaft(seed, { parts }).flaws.length > 0),
    `'${first.name}' was not found`,
  )
})
