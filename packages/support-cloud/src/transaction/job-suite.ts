import assert from 'node:assert/strict'
import type { Database } from '../rdbms/database.js'
import type { Job, JobHandler, Jobs } from './job.js'
import { refuses } from './transaction-suite.js'

/** What a driver gives the suite: an empty queue whose time stands still until it is passed. */
export interface JobFixture extends AsyncDisposable {
  /** Another node on the same queue. Lease 1_000 ms, poll 100 ms, payloads of 1_000 bytes, two jobs at a time. */
  node(): Jobs
  readonly database: Database
  pass(ms: number): Promise<void>
  now(): number
}

type Test = (name: string, fn: () => Promise<void>) => unknown
type Scenario = (name: string, run: (fixture: JobFixture) => Promise<void>) => void

/** Every promise of {@link Jobs}, free of any runner. */
export function jobSuite(test: Test, open: () => Promise<JobFixture>): void {
  const scenario: Scenario = (name, run) => {
    test(name, async () => {
      await using fixture = await open()
      await run(fixture)
    })
  }
  queueing(scenario)
  failing(scenario)
  fencing(scenario)
  schedules(scenario)
}

const note = (lines: unknown[], more: Partial<JobHandler> = {}): JobHandler => ({
  kind: 'note',
  run: async job => {
    lines.push(job.payload)
  },
  ...more,
})

function queueing(scenario: Scenario): void {
  scenario('jobs are done once, the oldest first, and delayed ones when it is time', async fixture => {
    const jobs = fixture.node()
    const lines: unknown[] = []
    await jobs.add({ kind: 'note', payload: 'later', at: fixture.now() + 60_000 })
    for (const payload of [1, 2, 3, 4, 5]) await jobs.add({ kind: 'note', payload })
    await jobs.add({ kind: 'other', payload: 'nobody does this' })
    await using worker = jobs.work([note(lines)])
    await worker.idle()
    assert.deepEqual([...lines].sort(), [1, 2, 3, 4, 5])
    await fixture.pass(59_900)
    await worker.idle()
    assert.equal(lines.length, 5)
    await fixture.pass(200)
    await worker.idle()
    assert.equal(lines.at(-1), 'later')
    assert.equal((await fixture.database.query({ text: 'select id from aaas_job' })).length, 1)
  })
  scenario('a key is there once until it is done', async fixture => {
    const jobs = fixture.node()
    const add = () => jobs.add({ kind: 'note', key: 'k' })
    assert.ok((await add()) !== undefined)
    assert.equal(await add(), undefined)
    assert.ok((await jobs.add({ kind: 'other', key: 'k' })) !== undefined)
    await using worker = jobs.work([note([])])
    await worker.idle()
    assert.ok((await add()) !== undefined)
    await worker.idle()
  })
  scenario('a job is added and dropped; one that is added in a transaction shares its fate', async fixture => {
    const jobs = fixture.node()
    const work = fixture.database.transaction(async tx => {
      await jobs.add({ kind: 'note' }, tx)
      throw new Error('no')
    })
    await assert.rejects(work, { message: 'no' })
    assert.equal((await fixture.database.query({ text: 'select id from aaas_job' })).length, 0)
    const id = (await jobs.add({ kind: 'note' })) ?? ''
    assert.equal(await jobs.drop(id), true)
    assert.equal(await jobs.drop(id), false)
  })
  scenario('bad input is named', async fixture => {
    const jobs = fixture.node()
    const bad = 'core.contract.invalid-input'
    await refuses(bad, jobs.add({ kind: '' }), 'kind')
    await refuses(bad, jobs.add({ kind: 'x'.repeat(101) }), 'kind')
    await refuses(bad, jobs.add({ kind: 'note', key: 'x'.repeat(201) }), 'key')
    await refuses(bad, jobs.add({ kind: 'note', at: fixture.now() + 3_661 * 86_400_000 }), 'at')
    await refuses(bad, jobs.add({ kind: 'note', at: Number.NaN }), 'at')
    await refuses(bad, jobs.add({ kind: 'note', payload: 1n }), 'payload')
    await refuses('support.transaction.too-large', jobs.add({ kind: 'note', payload: 'x'.repeat(999) }), 'payload')
    await refuses(bad, jobs.parked({ limit: 1_001 }), 'limit')
    await refuses(bad, jobs.drop('x'), 'id')
    await jobs.add({ kind: 'x'.repeat(100), key: 'x'.repeat(200), payload: 'x'.repeat(998) })
  })
}

function failing(scenario: Scenario): void {
  scenario('a failure comes again after a growing pause and is parked in the end, with its reason', async fixture => {
    const jobs = fixture.node()
    const tries: number[] = []
    let broken = true
    const run = async (job: Job): Promise<void> => {
      tries.push(job.attempt)
      if (broken) throw new Error('it rains')
    }
    const id = await jobs.add({ kind: 'note', payload: { a: 1 }, key: 'k' })
    await using worker = jobs.work([note([], { run, retry: { attempts: 3, firstPauseMs: 1_000 } })])
    await worker.idle()
    assert.deepEqual(tries, [1])
    for (const ms of [1_400, 2_700]) {
      await fixture.pass(ms)
      await worker.idle()
    }
    assert.deepEqual(tries, [1, 2, 3])
    const parked = await jobs.parked()
    assert.deepEqual(
      parked.map(({ parkedAt: _, ...job }) => job),
      [{ id, kind: 'note', payload: { a: 1 }, key: 'k', attempts: 3, reason: 'it rains' }],
    )
    broken = false
    assert.equal(await jobs.replay(id ?? ''), true)
    assert.equal(await jobs.replay(id ?? ''), false)
    await worker.idle()
    assert.deepEqual([tries.at(-1), await jobs.parked()], [1, []])
  })
  scenario('a job that kills its worker runs out of tries', async fixture => {
    const jobs = fixture.node()
    const lines: unknown[] = []
    await jobs.add({ kind: 'note' })
    await fixture.database.query({ text: 'update aaas_job set attempts = 10' })
    await using worker = jobs.work([note(lines)])
    await worker.idle()
    assert.deepEqual(lines, [])
    assert.match((await jobs.parked())[0]?.reason ?? '', /cut short/)
  })
  scenario('a job that takes too long is told so and comes again', async fixture => {
    const jobs = fixture.node()
    let told: unknown
    const run = (job: Job): Promise<void> =>
      new Promise(() => job.signal.addEventListener('abort', () => (told = job.signal.reason)))
    await jobs.add({ kind: 'note' })
    await using worker = jobs.work([note([], { run, timeoutMs: 300, retry: { attempts: 1 } })])
    const idle = worker.idle()
    for (let turn = 0; turn < 200 && told === undefined; turn++) {
      await fixture.database.query({ text: 'select 1' })
      await fixture.pass(10)
    }
    await idle
    assert.match(String(told), /more than 300 ms/)
    assert.equal((await jobs.parked()).length, 1)
  })
}

function fencing(scenario: Scenario): void {
  scenario('a job whose worker hangs is done by another, and the first cannot end it', async fixture => {
    const gates = [gate(), gate()]
    const ends: string[] = []
    const run = (index: number) => async (job: Job) => {
      ends.push(`${index} began`)
      await gates[index]?.passed
      await fixture.database
        .transaction(async tx => {
          await tx.query({ text: 'insert into effect values (1)' })
          await job.finish(tx)
        })
        .then(
          () => ends.push(`${index} ended`),
          (error: { code?: string }) => ends.push(`${index} ${error.code}`),
        )
    }
    const many = async (count: number): Promise<void> => {
      while (ends.length < count) await fixture.database.query({ text: 'select 1' })
    }
    const nodes = [fixture.node(), fixture.node()]
    await nodes[0]?.add({ kind: 'note' })
    const hanging = nodes[0]?.work([note([], { run: run(0) })])
    await many(1)
    await fixture.database.query({ text: 'update aaas_job set due_at = to_timestamp(0)' })
    await using worker = nodes[1]?.work([note([], { run: run(1) })])
    await many(2)
    // The second has it and is not done: what the first says now must not count.
    gates[0]?.open()
    await many(3)
    gates[1]?.open()
    await worker?.idle()
    await hanging?.[Symbol.asyncDispose]()
    assert.deepEqual(ends, ['0 began', '1 began', '0 support.transaction.fenced', '1 ended'])
    assert.equal((await fixture.database.query({ text: 'select n from effect' })).length, 1)
  })
}

function gate(): { readonly passed: Promise<void>; open(): void } {
  let open = (): void => undefined
  const passed = new Promise<void>(resolve => {
    open = resolve
  })
  return { passed, open: () => open() }
}

function schedules(scenario: Scenario): void {
  scenario(
    'a schedule makes one job a time, however many nodes look; missed times make one together',
    async fixture => {
      const lines: unknown[] = []
      const nodes = [fixture.node(), fixture.node()]
      const set = (jobs: Jobs | undefined) =>
        jobs?.schedule({ name: 'nightly', cron: '0 3 * * *', kind: 'note', payload: 'night' })
      await set(nodes[0])
      const [{ nextAt } = assert.fail('it is there')] = (await nodes[0]?.schedules()) ?? []
      assert.equal(new Date(nextAt).toISOString(), '2023-11-15T03:00:00.000Z')
      await set(nodes[1])
      // Nobody looks meanwhile: a manual clock would run every poll of these hours.
      await fixture.pass(nextAt - fixture.now() - 1_000)
      const workers = nodes.map(jobs => jobs.work([note(lines)]))
      const idle = async () => {
        for (const worker of workers) await worker.idle()
      }
      await idle()
      assert.deepEqual(lines, [])
      await fixture.pass(1_100)
      await idle()
      assert.deepEqual(lines, ['night'])
      for (const worker of workers) await worker[Symbol.asyncDispose]()
      await fixture.pass(3 * 86_400_000)
      await using late = nodes[0]?.work([note(lines)])
      await late?.idle()
      await late?.idle()
      assert.deepEqual(lines, ['night', 'night'])
      assert.equal(await nodes[0]?.unschedule('nightly'), true)
      assert.deepEqual(await nodes[0]?.schedules(), [])
    },
  )
}
