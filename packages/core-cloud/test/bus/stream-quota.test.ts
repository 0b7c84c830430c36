import { silentLogger } from '@aaas/core-cloud/kernel'
import { ManualClock, seededIds } from '@aaas/testing'
import { test } from 'tap'
import { openStreams, type QuotaDesk, quotaDesk, type Streams, watchRetained } from '../../src/bus/index.js'
import { memoryFiles } from '../../src/kernel/files/memory-files.js'

const logger = silentLogger

interface Place {
  readonly clock: ManualClock
  readonly desk: QuotaDesk
  readonly retained: (tenant?: string) => number | undefined
}

function openDesk(streamBytes?: number): Place {
  const clock = new ManualClock()
  const limits = streamBytes === undefined ? {} : { streamBytes }
  const desk = quotaDesk({ source: 'hub-1', limitsOf: () => limits, clock, ids: seededIds() })
  return { clock, desk, retained: (tenant = 'shop') => desk.usage().get(tenant)?.retainedBytes }
}

const fill = (streams: Streams, subject: string, bytes: number): Promise<unknown> =>
  streams.publish(subject, Buffer.alloc(bytes))

test('what a stream keeps is counted, and given back when it is forgotten', async t => {
  const { clock, desk, retained } = openDesk()
  const files = memoryFiles()
  const quotaOf = (stream: string) => desk.openTenant(stream.startsWith('kv.') ? 'bucket' : 'shop')
  const open = () => openStreams({ files, clock, quotaOf })
  const streams = await open()
  await streams.ensure({ name: 's', subjects: ['s.>'], durability: 'relaxed', maxPerSubject: 2 })
  await fill(streams, 's.a', 1_000)
  await fill(streams, 's.a', 1_000)
  const two = (await streams.info('s')).bytes
  t.equal(retained(), two)
  await fill(streams, 's.a', 1_000)
  t.equal(retained(), two, 'the oldest went for it')
  await streams.publishAt(clock.now() + 60_000, 's.later', Buffer.alloc(500), { messageId: 'later' })
  t.ok((retained() ?? 0) > two + 500, 'what waits for its time is kept too')
  const bucket = await streams.bucket({ name: 'b', durability: 'relaxed' })
  await bucket.put('k', Buffer.alloc(100))
  t.ok((retained('bucket') ?? 0) > 100)
  const all = retained()
  await streams[Symbol.asyncDispose]()
  t.equal(retained(), 0, 'a closed server counts nothing here')
  const again = await open()
  t.equal(retained(), all, 'and everything again when it is opened')
  await clock.pass(10_000)
  const reading = desk.readings().find(({ site }) => site === 'shop')
  t.equal(reading?.counters.busRetainedKibSeconds, Math.floor(((all ?? 0) * 10) / 1_024))
  await again.purge('s')
  t.ok((retained() ?? 0) < 700, 'only what waits')
  await again.remove('s')
  t.equal(retained(), 0)
  await again[Symbol.asyncDispose]()
})

test('over the limit a message is refused at once, by name, and costs nothing', async t => {
  const { clock, desk, retained } = openDesk(3_000)
  const streams = await openStreams({ clock, quotaOf: () => desk.openTenant('shop') })
  await streams.ensure({ name: 's', subjects: ['s'], durability: 'relaxed' })
  await streams.ensure({ name: 'other', subjects: ['o'], durability: 'relaxed' })
  await fill(streams, 's', 1_400)
  await fill(streams, 'o', 1_000)
  const before = retained()
  await t.rejects(fill(streams, 's', 1_000), {
    code: 'core.bus.quota-exceeded',
    retryable: true,
    details: { tenant: 'shop', limit: 'streamBytes' },
  })
  t.equal(retained(), before)
  t.equal((await streams.info('s')).messages, 1)
  const burst = await Promise.allSettled(Array.from({ length: 8 }, () => fill(streams, 's', 100)))
  t.ok(burst.some(({ status }) => status === 'rejected') && burst.some(({ status }) => status === 'fulfilled'))
  t.ok((retained() ?? 0) <= 3_000, 'not even together')
  await streams.purge('other')
  await fill(streams, 's', 900)
  await streams[Symbol.asyncDispose]()
})

test('dead letters find their place over the limit', async t => {
  const { clock, desk } = openDesk(1_200)
  const streams = await openStreams({ clock, quotaOf: () => desk.openTenant('shop') })
  await streams.ensure({ name: 's', subjects: ['s'], durability: 'relaxed' })
  await fill(streams, 's', 1_000)
  const gone = new Promise<void>(resolve => {
    void streams.consume('s', { name: 'c' }, delivery => {
      delivery.term('no use')
      resolve()
    })
  })
  await gone
  await streams.drain()
  t.equal((await streams.deadLetters('s')).length, 1)
  await streams[Symbol.asyncDispose]()
})

test('streams of another server are asked for their size', async t => {
  const { clock, desk, retained } = openDesk(10)
  const sizes = new Map([
    ['a', 100],
    ['b', 50],
  ])
  let away = false
  const streams = {
    async list() {
      if (away) throw new Error('away')
      return [...sizes.keys()]
    },
    info: async (name: string) => ({ bytes: sizes.get(name) ?? 0 }) as Awaited<ReturnType<Streams['info']>>,
  }
  const quotaOf = (name: string) => (name === 'a' ? desk.openTenant('shop') : undefined)
  const watch = watchRetained({ streams, quotaOf, clock, logger, everyMs: 1_000 })
  await clock.pass(1_000)
  t.equal(retained(), 100, 'counted, and not refused')
  sizes.set('a', 30)
  away = true
  await clock.pass(1_000)
  t.equal(retained(), 100, 'as it was')
  away = false
  await clock.pass(1_000)
  t.equal(retained(), 30)
  sizes.delete('a')
  await watch.look()
  t.equal(retained(), 0)
  sizes.set('a', 7)
  await watch.look()
  await watch[Symbol.asyncDispose]()
  t.equal(retained(), 0)
})
