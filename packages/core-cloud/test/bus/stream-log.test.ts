import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ManualClock } from '@aaas/testing'
import fc from 'fast-check'
import { type Test, test } from 'tap'
import { openStreams, type StreamLimits, type Streams } from '../../src/bus/index.js'
import type { LogFiles } from '../../src/kernel/files/files.js'
import { memoryFiles } from '../../src/kernel/files/memory-files.js'
import { faultyFiles } from './fixture/faulty-files.js'
import { passUntil } from './fixture/until.js'

const bytes = (text: string): Uint8Array => Buffer.from(text)

function folder(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'aaas-log-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

const segments = (dir: string, stream: string): string[] =>
  readdirSync(`${dir}/${stream}`)
    .filter(name => name.endsWith('.log') && name !== 'consumers.log')
    .sort()

async function filled(dir: string, limits: Partial<StreamLimits> = {}): Promise<void> {
  await using streams = await openStreams({ dir, clock: new ManualClock(), limits })
  await streams.ensure({ name: 's', subjects: ['s.>'], durability: 'relaxed', dedupMs: 100 })
  for (let index = 1; index <= 20; index++) await streams.publish('s.a', Buffer.alloc(500, index))
}

test('an unfinished write at the end is cut off', async t => {
  const dir = folder(t)
  await filled(dir)
  const [name = ''] = segments(dir, 's')
  const file = `${dir}/s/${name}`
  const whole = readFileSync(file)
  // Cut anywhere in the last record, and followed by what was never written.
  for (const [cut, tail] of [
    [1, 0],
    [300, 0],
    [530, 0],
    [300, 4_096],
    [0, 777],
  ] as const) {
    writeFileSync(file, Buffer.concat([whole.subarray(0, whole.length - cut), Buffer.alloc(tail)]))
    await using streams = await openStreams({ dir, clock: new ManualClock() })
    const kept = cut === 0 ? 20 : 19
    t.equal((await streams.info('s')).lastSequence, kept, `${cut} bytes less, ${tail} more`)
    t.equal((await streams.publish('s.a', bytes('next'))).sequence, kept + 1)
    t.equal(Buffer.from((await streams.get('s', { sequence: kept + 1 }))?.payload ?? []).toString(), 'next')
  }
})

test('damage in the middle is refused with file and place', async t => {
  const dir = folder(t)
  await filled(dir, { segmentBytes: 4_096 })
  const names = segments(dir, 's')
  t.ok(names.length > 1)
  const damage = async (name: string, change: (content: Buffer) => number): Promise<void> => {
    const file = `${dir}/s/${name}`
    const content = readFileSync(file)
    const changed = Buffer.from(content)
    const place = change(changed)
    writeFileSync(file, changed)
    const error = await openStreams({ dir, clock: new ManualClock() }).then(
      () => undefined,
      (reason: { code: string; message: string; details: { file: string; place: number } }) => reason,
    )
    writeFileSync(file, content)
    t.equal(error?.code, 'core.bus.corrupt')
    t.equal(error?.details.file, file)
    t.ok(
      error !== undefined && error.details.place <= place && error.details.place > place - 700,
      String(error?.message),
    )
    t.match(String(error?.message), file)
  }
  for (const name of names) {
    await damage(name, content => {
      const place = Math.floor(content.length / 2)
      content[place] = (content[place] ?? 0) ^ 1
      return place
    })
  }
  // In a file that is not the newest even the end must be whole.
  await damage(names[0] ?? '', content => {
    content.fill(0, content.length - 10)
    return content.length
  })
  const kept = readFileSync(`${dir}/s/${names[0]}`)
  truncateSync(`${dir}/s/${names[0]}`, kept.length - 5)
  await t.rejects(openStreams({ dir, clock: new ManualClock() }), { code: 'core.bus.corrupt' })
  writeFileSync(`${dir}/s/${names[0]}`, kept)
  await using streams = await openStreams({ dir, clock: new ManualClock() })
  t.equal((await streams.info('s')).messages, 20)
})

test('damage that happens while it runs is found when it is read', async t => {
  const dir = folder(t)
  await filled(dir)
  await using streams = await openStreams({ dir, clock: new ManualClock() })
  const file = `${dir}/s/${segments(dir, 's')[0]}`
  const content = readFileSync(file)
  content[content.length - 100] = (content[content.length - 100] ?? 0) ^ 255
  writeFileSync(file, content)
  await t.rejects(streams.get('s', { sequence: 20 }), { code: 'core.bus.corrupt' })
  t.ok(await streams.get('s', { sequence: 19 }))
})

test('one living process at a time has a folder', async t => {
  const dir = folder(t)
  const first = await openStreams({ dir, clock: new ManualClock() })
  const lock = readFileSync(`${dir}/lock`, 'utf8')
  await first[Symbol.asyncDispose]()
  // Of this process's parent, which lives and was born when the lock says.
  const stat = readFileSync(`/proc/${process.ppid}/stat`, 'utf8')
  const born = `${lock.split(' ')[1]?.split('/')[0]}/${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`
  writeFileSync(`${dir}/lock`, `${process.ppid} ${born}`)
  await t.rejects(openStreams({ dir, clock: new ManualClock() }), { code: 'core.deploy.already-running', field: 'dir' })
  // A later process with the same number is another one.
  writeFileSync(`${dir}/lock`, `${process.ppid} ${born}1`)
  await (await openStreams({ dir, clock: new ManualClock() }))[Symbol.asyncDispose]()
})

test('forgotten messages give their place on the disk back, and waiting ones are kept', async t => {
  const dir = folder(t)
  const clock = new ManualClock()
  const limits = { segmentBytes: 16_384 }
  const open = (): Promise<Streams> => openStreams({ dir, clock, limits })
  let streams = await open()
  await streams.ensure({ name: 's', subjects: ['s.>'], durability: 'relaxed', maxPerSubject: 1, dedupMs: 100 })
  await streams.publish('s.old', bytes('stays'))
  await streams.publishAt(clock.now() + 3_600_000, 's.late', bytes('late'), { messageId: 'late' })
  for (let round = 0; round < 400; round++) {
    await streams.publish(`s.k${round % 5}`, Buffer.alloc(1_000, round))
    await clock.pass(200)
  }
  const size = (): number => segments(dir, 's').reduce((sum, name) => sum + statSync(`${dir}/s/${name}`).size, 0)
  // Of 400,000 that were written.
  await passUntil(clock, () => size() <= 60_000)
  for (let round = 0; round < 2; round++) {
    t.equal((await streams.info('s')).messages, 6)
    t.equal(Buffer.from((await streams.get('s', { lastOf: 's.old' }))?.payload ?? []).toString(), 'stays')
    t.equal((await streams.get('s', { lastOf: 's.k4' }))?.payload[0], 399 % 256)
    await streams[Symbol.asyncDispose]()
    streams = await open()
  }
  await clock.pass(3_700_000)
  await passUntil(clock, async () => (await streams.info('s')).messages === 7)
  t.equal(Buffer.from((await streams.get('s', { lastOf: 's.late' }))?.payload ?? []).toString(), 'late')
  // It entered once: not again after its id was forgotten and the log was read anew.
  const { lastSequence } = await streams.info('s')
  await streams[Symbol.asyncDispose]()
  await clock.pass(10_000)
  streams = await open()
  // Messages enter in the order of their times: what was to come again would have come before this one.
  await streams.publishAt(clock.now() + 1_000, 's.mark', bytes('mark'), { messageId: 'mark' })
  await passUntil(clock, async () => (await streams.get('s', { lastOf: 's.mark' })) !== undefined)
  t.equal((await streams.info('s')).lastSequence, lastSequence + 1)
  await streams[Symbol.asyncDispose]()
})

type Step =
  | { readonly kind: 'publish'; readonly subject: number; readonly id: number }
  | { readonly kind: 'purge'; readonly subject: number; readonly below: number }
  | { readonly kind: 'config'; readonly maxMessages: number; readonly maxPerSubject: number }
  | { readonly kind: 'reopen' | 'pass' }

test('a log that is read again gives what was there, whatever was done to it', async () => {
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constant('publish' as const), subject: fc.nat(3), id: fc.nat(200) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('purge' as const), subject: fc.nat(4), below: fc.nat(60) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('config' as const),
        maxMessages: fc.integer({ min: 3, max: 30 }),
        maxPerSubject: fc.integer({ min: 1, max: 12 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('reopen', 'pass' as const) }) },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 120, size: 'max' }), async steps => {
      const files = memoryFiles()
      const clock = new ManualClock()
      const limits = { segmentBytes: 4_096, cacheBytes: 2_000 }
      const open = (): Promise<Streams> => openStreams({ files, clock, limits })
      let streams = await open()
      let config = { maxMessages: 20, maxPerSubject: 10 }
      const ensure = (): Promise<unknown> =>
        streams.ensure({ name: 's', subjects: ['s.*'], durability: 'relaxed', dedupMs: 150, ...config })
      await ensure()
      let model: { sequence: number; subject: string; text: string }[] = []
      const ids = new Map<number, number>()
      let last = 0
      const enforce = (): void => {
        for (const subject of new Set(model.map(each => each.subject))) {
          const own = model.filter(each => each.subject === subject)
          const gone = new Set(own.slice(0, Math.max(0, own.length - config.maxPerSubject)))
          model = model.filter(each => !gone.has(each))
        }
        model = model.slice(-config.maxMessages)
      }
      for (const [index, each] of steps.entries()) {
        if (each.kind === 'publish') {
          const text = `${index}${'x'.repeat(300)}`
          const messageId = each.id < 100 ? { messageId: `m${each.id}` } : {}
          const known = each.id < 100 && (ids.get(each.id) ?? 0) > clock.now()
          const ack = await streams.publish(`s.${each.subject}`, bytes(text), messageId)
          if (ack.duplicate !== known) throw new Error(`duplicate ${ack.duplicate}, expected ${known}`)
          if (known) continue
          last += 1
          if (each.id < 100) ids.set(each.id, clock.now() + 150)
          model.push({ sequence: last, subject: `s.${each.subject}`, text })
          enforce()
        } else if (each.kind === 'purge') {
          const which = each.subject === 4 ? { below: each.below } : { subject: `s.${each.subject}`, below: each.below }
          await streams.purge('s', which)
          model = model.filter(
            m => m.sequence >= each.below || (each.subject !== 4 && m.subject !== `s.${each.subject}`),
          )
        } else if (each.kind === 'config') {
          config = { maxMessages: each.maxMessages, maxPerSubject: each.maxPerSubject }
          await ensure()
          enforce()
        } else if (each.kind === 'pass') await clock.pass(60)
        else {
          await streams[Symbol.asyncDispose]()
          streams = await open()
        }
        const info = await streams.info('s')
        const first = model[0]?.sequence ?? last + 1
        if (info.messages !== model.length || info.lastSequence !== last || info.firstSequence !== first) {
          throw new Error(`${JSON.stringify(info)} but ${model.length} messages from ${first} to ${last}`)
        }
      }
      for (let sequence = 1; sequence <= last; sequence++) {
        const expected = model.find(each => each.sequence === sequence)
        const found = await streams.get('s', { sequence })
        const text = found === undefined ? undefined : Buffer.from(found.payload).toString()
        if (text !== expected?.text || found?.subject !== expected?.subject)
          throw new Error(`message ${sequence} differs`)
      }
      await streams[Symbol.asyncDispose]()
    }),
    { numRuns: 150, seed: 3 },
  )
})

test('when the disk is full nothing is acknowledged, nothing is lost, and it goes on when there is room', async t => {
  for (const durability of ['relaxed', 'synced'] as const) {
    const inner = memoryFiles()
    const disk = faultyFiles(inner)
    const clock = new ManualClock()
    const open = (files: LogFiles): Promise<Streams> => openStreams({ files, clock, limits: { segmentBytes: 4_096 } })
    let streams = await open(disk.files)
    await streams.ensure({ name: 's', subjects: ['s'], durability })
    const acknowledged: number[] = []
    let refused = 0
    for (let nth = 1; nth <= 60; nth++) {
      // The first, the second ... operation from now on fails, half way where that is possible.
      disk.failFrom(nth % 4, nth % 7 === 0 ? 'EIO' : 'ENOSPC')
      const burst = Array.from({ length: 4 }, (_, index) => streams.publish('s', Buffer.alloc(200, nth * 4 + index)))
      for (const outcome of await Promise.allSettled(burst)) {
        if (outcome.status === 'fulfilled') acknowledged.push(outcome.value.sequence)
        else {
          refused += 1
          const wanted = nth % 7 === 0 ? 'core.kernel.not-writable' : 'core.bus.stream-full'
          t.equal((outcome.reason as { code: string }).code, wanted)
        }
      }
      disk.mend()
      acknowledged.push((await streams.publish('s', Buffer.alloc(10))).sequence)
      if (nth % 20 === 0) {
        await streams[Symbol.asyncDispose]()
        streams = await open(disk.files)
      }
    }
    t.ok(refused > 50 && acknowledged.length > 60, `${refused} refused, ${acknowledged.length} acknowledged`)
    t.equal((await streams.info('s')).messages, acknowledged.length)
    t.same(
      acknowledged,
      Array.from({ length: acknowledged.length }, (_, index) => index + 1),
    )
    await streams[Symbol.asyncDispose]()
  }
})

test('when the state of a consumer cannot be written, it goes on, and is written when there is room', async t => {
  const disk = faultyFiles(memoryFiles())
  const clock = new ManualClock()
  let streams = await openStreams({ files: disk.files, clock })
  await streams.ensure({ name: 's', subjects: ['s'], durability: 'relaxed' })
  let seen = 0
  const member = await streams.consume('s', { name: 'c' }, () => void seen++)
  for (let index = 0; index < 5; index++) await streams.publish('s', bytes('x'))
  await passUntil(clock, () => seen === 5, 1)
  for (let index = 0; index < 5; index++) await streams.publish('s', bytes('x'))
  disk.failFrom(0, 'ENOSPC')
  await passUntil(clock, () => seen === 10, 1)
  disk.mend()
  await streams.publish('s', bytes('x'))
  await passUntil(clock, () => seen === 11, 1)
  await member.drain()
  await streams[Symbol.asyncDispose]()
  streams = await openStreams({ files: disk.files, clock })
  const info = await streams.consumerInfo('s', 'c')
  t.same([info.pending, info.unsettled], [0, 0])
  await streams[Symbol.asyncDispose]()
})

test('a message for later that entered does not enter again when the log is read anew', async t => {
  const clock = new ManualClock()
  const files = memoryFiles()
  for (let life = 0; life < 3; life++) {
    await using streams = await openStreams({ files, clock })
    await streams.ensure({ name: 's', subjects: ['s'], durability: 'relaxed', dedupMs: 100 })
    if (life === 0) await streams.publishAt(clock.now() + 1_000, 's', bytes('x'), { messageId: 'l' })
    // Longer than its id is known.
    await clock.pass(10_000)
    t.equal((await streams.info('s')).lastSequence, 1)
  }
})
