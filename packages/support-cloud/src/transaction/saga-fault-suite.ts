import assert from 'node:assert/strict'
import type { SagaAction } from './saga.js'
import { Diary, define, operator, play, refusal, type SagaScenario, states, until } from './saga-suite-fixture.js'

/** Nodes that die, hang and change versions. */
export function sagaFaults(scenario: SagaScenario): void {
  takeOvers(scenario)
  deaths(scenario)
  versions(scenario)
  poison(scenario)
}

function takeOvers(scenario: SagaScenario): void {
  scenario('another node takes over after the lease, and the first one can record nothing more', async fixture => {
    const diary = new Diary()
    const gate = deferred()
    let aborted = false
    const slow = (name: string): SagaAction =>
      diary.step('b', {
        run: async ({ signal, key }) => {
          signal.addEventListener('abort', () => {
            aborted = true
          })
          diary.lines.push(`${name} ${key}`)
          if (name === 'first') await gate.promise
          return name
        },
      })
    const [first, second] = [slow('first'), slow('second')].map(b => fixture.node(define([diary.step('a'), b])))
    assert.ok(first !== undefined && second !== undefined)
    await first.start({ id: 's', name: 'trip' })
    const holder = first.work()
    await until(fixture, async () => diary.lines.includes('first s/b'))
    // The first node hangs: its renewals do not reach the database, which lets its lease end.
    await fixture.database.query({ text: `update aaas_saga set due_at = to_timestamp(0)` })
    await using worker = second.work()
    await worker.idle()
    const view = await second.get('s')
    assert.deepEqual([view?.state, view?.steps[1]?.output, view?.steps[1]?.attempts], ['completed', 'second', 2])
    gate.open()
    await holder[Symbol.asyncDispose]()
    assert.deepEqual(diary.lines, ['a', 'first s/b', 'second s/b'], 'the same key on both nodes')
    assert.deepEqual((await second.get('s'))?.steps[1]?.output, 'second')
    assert.equal(aborted, false, 'nobody told it, the fence held')
  })
  scenario('a node that finds its lease taken stops its step', async fixture => {
    let reason: unknown
    const step: SagaAction = {
      name: 'a',
      run: ({ signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            reason = signal.reason
            reject(signal.reason)
          })
        }),
    }
    const sagas = fixture.node(define([step]))
    await sagas.start({ id: 's', name: 'trip' })
    await using worker = sagas.work()
    await until(fixture, async () => (await sagas.get('s'))?.steps[0]?.state === 'intended')
    await fixture.database.query({ text: 'update aaas_saga set fence = fence + 1' })
    await fixture.pass(260)
    await until(fixture, async () => reason !== undefined)
    assert.match(String(reason), /another worker holds the lease/)
    await fixture.database.query({ text: `update aaas_saga set state = 'completed'` })
    await worker.idle()
  })
}

function deaths(scenario: SagaScenario): void {
  scenario('a node that dies in a compensation leaves it to another, under the same key', async fixture => {
    const keys: string[] = []
    const undone = new Set<string>()
    const a = (dies: boolean): SagaAction => ({
      name: 'a',
      run: async () => 1,
      compensate: async ({ key }) => {
        keys.push(key)
        undone.add(key)
        if (dies) await new Promise(() => undefined)
      },
    })
    const nodes = [true, false].map(dies => fixture.node(define([a(dies), new Diary().failing('b', refusal)])))
    await nodes[0]?.start({ id: 's', name: 'trip' })
    const dead = nodes[0]?.work()
    await until(fixture, async () => keys.length === 1)
    await fixture.database.query({ text: `update aaas_saga set due_at = to_timestamp(0)` })
    await using worker = nodes[1]?.work()
    await worker?.idle()
    const view = await nodes[1]?.get('s')
    assert.deepEqual([view?.state, view?.steps[0]?.compensations], ['compensated', 2])
    assert.deepEqual([keys, [...undone]], [['s/a/undo', 's/a/undo'], ['s/a/undo']])
    await fixture.pass(1_000)
    void dead?.[Symbol.asyncDispose]()
    await fixture.pass(20_000)
  })
  scenario('stopping lets running steps end and gives the rest away', async fixture => {
    const diary = new Diary()
    const gate = deferred()
    const a = diary.step('a', {
      run: async () => {
        diary.lines.push('a')
        await gate.promise
        return 'a'
      },
    })
    const nodes = [0, 1].map(() => fixture.node(define([a, diary.step('b')])))
    await nodes[0]?.start({ id: 's', name: 'trip' })
    const first = nodes[0]?.work()
    await until(fixture, async () => diary.lines.length === 1)
    const stopped = first?.[Symbol.asyncDispose]()
    gate.open()
    await stopped
    assert.deepEqual(states((await nodes[0]?.get('s')) ?? assert.fail('it is there')), ['a done'])
    await using worker = nodes[1]?.work()
    await worker?.idle()
    assert.deepEqual(diary.lines, ['a', 'b'])
  })
}

function versions(scenario: SagaScenario): void {
  const version = (number: number, diary: Diary) =>
    define([diary.step(`a${number}`), { name: 'w', waitFor: 'go' }, diary.step(`b${number}`)], { version: number })
  scenario('an instance goes on with its version beside newer ones', async fixture => {
    const diary = new Diary()
    const old = fixture.node(version(1, diary))
    await old.start({ id: 'old', name: 'trip' })
    const worker = old.work()
    await worker.idle()
    await worker[Symbol.asyncDispose]()
    const both = fixture.node(version(1, diary), version(2, diary))
    await both.start({ id: 'new', name: 'trip' })
    assert.equal(await both.start({ id: 'old', name: 'trip' }), false, 'a repeat finds the old one')
    for (const id of ['old', 'new']) await both.signal(id, { name: 'go', signalId: '1' })
    await using next = both.work()
    await next.idle()
    assert.deepEqual(diary.lines.sort(), ['a1', 'a2', 'b1', 'b2'])
  })
  scenario('a version that nobody knows is parked with a reason, and goes on when somebody does', async fixture => {
    const diary = new Diary()
    const old = fixture.node(version(1, diary))
    await old.start({ id: 's', name: 'trip' })
    await old.signal('s', { name: 'go', signalId: '1' })
    const newer = fixture.node(version(2, diary))
    await using worker = newer.work()
    await fixture.pass(4_900)
    await worker.idle()
    assert.equal((await newer.get('s'))?.state, 'running', 'another node might know it')
    await fixture.pass(200)
    await worker.idle()
    const view = await newer.get('s')
    assert.deepEqual([view?.state, view?.parked?.code], ['parked', 'no-definition'])
    assert.match(view?.parked?.reason ?? '', /trip@1/)
    await using back = old.work()
    await back.idle()
    assert.equal((await old.get('s'))?.state, 'completed')
    assert.deepEqual(diary.lines, ['a1', 'b1'])
  })
}

function poison(scenario: SagaScenario): void {
  scenario('a step that kills its node again and again runs out of tries', async fixture => {
    const diary = new Diary()
    const { view, sagas, worker } = await play(fixture, define([diary.step('a'), { name: 'w', waitFor: 'x' }]))
    await worker[Symbol.asyncDispose]()
    assert.equal(view.state, 'running')
    // What five deaths in the middle of a step leave behind.
    await fixture.database.query({
      text: `update aaas_saga_step set state = 'intended', attempts = 5, was_done = false where name = 'a'`,
    })
    await fixture.database.query({ text: 'update aaas_saga set due_at = to_timestamp(0)' })
    await using next = sagas.work()
    await next.idle()
    assert.equal((await sagas.get('s'))?.state, 'compensated')
    assert.deepEqual(diary.lines, ['a', '-a?'])
  })
  scenario('a saga that is taken up in vain twenty times is parked', async fixture => {
    const diary = new Diary()
    const sagas = fixture.node(define([diary.step('a')]))
    await sagas.start({ id: 's', name: 'trip' })
    await fixture.database.query({ text: 'update aaas_saga set idle_claims = 20' })
    await using worker = sagas.work()
    await worker.idle()
    assert.deepEqual((await sagas.get('s'))?.parked?.code, 'poison')
    await sagas.retry('s', operator)
    await worker.idle()
    assert.equal((await sagas.get('s'))?.state, 'completed')
  })
}

function deferred(): { promise: Promise<void>; open: () => void } {
  let open = (): void => undefined
  const promise = new Promise<void>(resolve => {
    open = resolve
  })
  return { promise, open: () => open() }
}
