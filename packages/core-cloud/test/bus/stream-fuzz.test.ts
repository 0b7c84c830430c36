import { ManualClock, seededRandom } from '@aaas/testing'
import { test } from 'tap'
import { openStreams } from '../../src/bus/index.js'
import { memoryFiles } from '../../src/kernel/files/memory-files.js'
import { fuzz, fuzzTargets, mutate } from './fixture/wire-fuzz.js'

const perTarget = 30_000

test(`${fuzzTargets.length * perTarget} mutated inputs of every decoder neither crash nor grow anything`, async t => {
  const before = process.memoryUsage().arrayBuffers
  for (const [seed, target] of fuzzTargets.entries()) {
    const { refused, taken } = fuzz(target, perTarget, seededRandom(seed + 1))
    t.ok(refused + taken === perTarget, `${target.name}: ${refused} refused, ${taken} taken`)
    // A decoder that takes everything, or nothing, was not tested.
    t.ok(taken > 100, `${target.name} takes what is still good`)
  }
  t.ok(process.memoryUsage().arrayBuffers - before < 128 * 1024 * 1024)
})

test('2,000 mutated logs are opened, cut or refused by name', async t => {
  const clock = new ManualClock()
  const files = memoryFiles()
  const streams = await openStreams({ files, clock, limits: { segmentBytes: 4_096 } })
  await streams.ensure({ name: 's', subjects: ['s.>'], durability: 'relaxed', maxPerSubject: 9 })
  await streams.publishAt(clock.now() + 1e9, 's.late', Buffer.from('late'), { messageId: 'l' })
  const member = await streams.consume('s', { name: 'c' }, () => undefined)
  for (let index = 0; index < 30; index++) {
    await streams.publish(`s.${index % 4}`, Buffer.alloc(200), { messageId: `m${index}` })
  }
  await clock.pass(100)
  await member.drain()
  await streams.purge('s', { below: 5 })
  await streams[Symbol.asyncDispose]()
  const folder = await files.folder('s')
  const originals = new Map<string, Buffer>()
  for (const name of await folder.list()) {
    const file = await folder.open(name)
    originals.set(name, await file.read(0, file.size))
  }
  t.ok(originals.size >= 3)
  const random = seededRandom(9)
  const outcomes = new Map<string, number>()
  for (let run = 0; run < 2_000; run++) {
    const damaged = memoryFiles()
    const copy = await damaged.folder('s')
    const names = [...originals.keys()]
    const chosen = names[Math.floor(random() * names.length)]
    for (const [name, content] of originals) {
      await (await copy.open(name)).write([name === chosen ? mutate(content, random) : content], 0)
    }
    const outcome = await openStreams({ files: damaged, clock }).then(
      async opened => {
        // Whatever was opened can be used.
        if ((await opened.list()).includes('s')) {
          const { firstSequence, lastSequence } = await opened.info('s')
          for (let at = firstSequence; at <= lastSequence; at++) await opened.get('s', { sequence: at })
        }
        await opened[Symbol.asyncDispose]()
        return 'opened'
      },
      (error: { code?: string }) => error.code ?? String(error),
    )
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }
  t.same(
    [...outcomes.keys()].filter(each => each !== 'opened' && each !== 'core.bus.corrupt'),
    [],
  )
  t.ok(
    (outcomes.get('opened') ?? 0) > 50 && (outcomes.get('core.bus.corrupt') ?? 0) > 50,
    JSON.stringify([...outcomes]),
  )
})
