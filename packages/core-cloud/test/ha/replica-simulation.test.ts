import assert from 'node:assert/strict'
import type { StateMachine } from '@aaas/core-cloud/ha'
import { simulateReplicas } from '@aaas/testing'
import { test } from 'tap'

/** Counts by name; `flaw` is what an author may do wrong. */
function counters(flaw: 'none' | 'random' | 'forgets' | 'shares'): StateMachine {
  let counts: Record<string, number> = {}
  let applied = 0
  return {
    apply(command) {
      const name = Buffer.from(command).toString()
      counts[name] = (counts[name] ?? 0) + 1
      applied += 1
      if (flaw === 'random') return Buffer.from(`${Math.random()}`)
      return Buffer.from(`${counts[name]} of ${applied}`)
    },
    async *snapshot() {
      const copy = { ...counts }
      const total = applied
      // The rest of a long snapshot is read after more commands.
      if (flaw === 'shares') {
        yield Buffer.from('{')
        yield Buffer.from(`"counts":${JSON.stringify(counts)},"applied":${applied}}`)
        return
      }
      yield Buffer.from(JSON.stringify({ counts: copy, applied: total }))
    },
    async restore(state) {
      const chunks: Uint8Array[] = []
      for await (const chunk of state) chunks.push(chunk)
      const stored = JSON.parse(Buffer.concat(chunks).toString()) as { counts: typeof counts; applied: number }
      counts = stored.counts
      if (flaw !== 'forgets') applied = stored.applied
    },
  }
}

const command = (random: () => number): Uint8Array => Buffer.from('abc'[Math.floor(random() * 3)] as string)

test('a machine that keeps the rules has nothing to fear', async () => {
  for (let seed = 1; seed <= 10; seed++) {
    assert.deepEqual(await simulateReplicas(seed, { open: () => counters('none'), command }), [])
  }
})

for (const flaw of ['random', 'forgets', 'shares'] as const) {
  test(`a machine with the flaw '${flaw}' is found out`, async () => {
    const found = await Promise.all(
      [1, 2, 3].map(seed => simulateReplicas(seed, { open: () => counters(flaw), command })),
    )
    assert(found.every(flaws => flaws.length > 0))
  })
}

test('the same seed is the same run', async () => {
  const run = (): Promise<string[]> => simulateReplicas(3, { open: () => counters('forgets'), command })
  assert.deepEqual(await run(), await run())
})
