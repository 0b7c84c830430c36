import fc from 'fast-check'
import { test } from 'tap'
import { type PlantedBug, playSaga } from './saga-world.js'

test('whatever crashes, hangs and gets lost: all effects or none, in order, recorded first', async t => {
  const states = new Map<string, number>()
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 2 ** 31 }), async seed => {
      const { state, broken, trace } = await playSaga(seed, 'none')
      states.set(state, (states.get(state) ?? 0) + 1)
      if (broken !== undefined) throw new Error(`${broken}\n${trace.join('\n')}`)
    }),
    { numRuns: 2_000 },
  )
  t.ok((states.get('completed') ?? 0) > 100, JSON.stringify([...states]))
  t.ok((states.get('compensated') ?? 0) > 100)
})

test('the simulation sees bugs that are planted', async t => {
  const bugs: readonly PlantedBug[] = ['compensation-forgotten', 'record-after-run', 'fence-ignored']
  for (const bug of bugs) {
    let found: string | undefined
    for (let seed = 1; seed <= 500 && found === undefined; seed++) found = (await playSaga(seed, bug)).broken
    t.ok(found !== undefined, `${bug}: ${found}`)
  }
})
