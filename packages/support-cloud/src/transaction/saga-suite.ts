import assert from 'node:assert/strict'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { SagaAction, SagaDefinition, SagaState } from './saga.js'
import { sagaFaults } from './saga-fault-suite.js'
import { sagaStarts } from './saga-start-suite.js'
import {
  Diary,
  define,
  operator,
  play,
  refusal,
  type SagaFixture,
  type SagaScenario,
  states,
  until,
} from './saga-suite-fixture.js'
import { refuses } from './transaction-suite.js'

export type { SagaFixture } from './saga-suite-fixture.js'

type Test = (name: string, fn: () => Promise<void>) => unknown

/** Every promise of {@link Sagas}, free of any runner. */
export function sagaSuite(test: Test, open: () => Promise<SagaFixture>): void {
  const scenario: SagaScenario = (name, run) => {
    test(name, async () => {
      await using fixture = await open()
      await run(fixture)
    })
  }
  ways(scenario)
  retries(scenario)
  unknowns(scenario)
  signals(scenario)
  hands(scenario)
  sagaStarts(scenario)
  sagaFaults(scenario)
}

async function ends(fixture: SagaFixture, definition: SagaDefinition, state: SagaState, passMs?: readonly number[]) {
  const played = await play(fixture, definition, passMs)
  await using _ = played.worker
  assert.equal(played.view.state, state, JSON.stringify(played.view))
  return played
}

function ways(scenario: SagaScenario): void {
  scenario('steps run in order, each after its record, and see what came before', async fixture => {
    const seen: unknown[] = []
    const recorded = async (): Promise<unknown> =>
      (await fixture.database.query({ text: 'select name, state from aaas_saga_step order by step' })).map(row =>
        Object.values(row).join(' '),
      )
    const look = (name: string): SagaAction => ({
      name,
      run: async context => {
        seen.push([await recorded(), context.outputs, context.key, context.input])
        return name.toUpperCase()
      },
    })
    const { view } = await ends(fixture, define([look('a'), look('b')]), 'completed')
    assert.deepEqual(seen, [
      [['a intended'], {}, 's/a', { n: 1 }],
      [['a done', 'b intended'], { a: 'A' }, 's/b', { n: 1 }],
    ])
    assert.deepEqual(
      view.steps.map(step => step.output),
      ['A', 'B'],
    )
  })
  scenario('a refusal takes back what was done, last first', async fixture => {
    const diary = new Diary()
    const steps = [diary.step('a'), diary.step('b'), diary.failing('c', refusal), diary.step('d')]
    const { view } = await ends(fixture, define(steps), 'compensated')
    assert.deepEqual(diary.lines, ['a', 'b', 'c!', '-b', '-a'])
    assert.deepEqual(states(view), ['a compensated', 'b compensated', 'c refused'])
    assert.match(view.failure ?? '', /c was refused: no money/)
  })
  scenario('a step without compensation is kept', async fixture => {
    const diary = new Diary()
    const { name, run } = diary.step('b')
    const steps = [diary.step('a'), { name, run }, diary.failing('c', refusal)]
    const { view } = await ends(fixture, define(steps), 'compensated')
    assert.deepEqual(states(view), ['a compensated', 'b kept', 'c refused'])
  })
}

function retries(scenario: SagaScenario): void {
  scenario('failures are tried again after growing pauses, with the same key', async fixture => {
    const keys: string[] = []
    const flaky: SagaAction = {
      name: 'a',
      retry: { attempts: 3, firstPauseMs: 1_000 },
      run: async ({ key, attempt }) => {
        keys.push(`${key} ${attempt}`)
        if (attempt < 3) throw new Error('busy')
      },
    }
    const { view, sagas, worker } = await play(fixture, define([flaky]), [700])
    await using _ = worker
    assert.equal(keys.length, 1, 'the first pause is a second, minus a quarter at most')
    assert.equal(view.steps[0]?.error, 'busy')
    await fixture.pass(600)
    await worker.idle()
    assert.equal(keys.length, 2)
    await fixture.pass(2_500)
    await worker.idle()
    assert.deepEqual(keys, ['s/a 1', 's/a 2', 's/a 3'])
    assert.equal((await sagas.get('s'))?.state, 'completed')
  })
  scenario('a point of no return is never taken back', async fixture => {
    const diary = new Diary()
    const { compensate: _, ...pay } = diary.step('pay', { onFailure: 'park' })
    const steps = [diary.step('a'), pay, diary.failing('c', refusal)]
    const { view, sagas, worker } = await play(fixture, define(steps))
    await using _worker = worker
    assert.deepEqual([view.state, view.parked?.code], ['parked', 'step-failed'])
    await refuses('support.transaction.wrong-state', sagas.cancel('s', operator))
    assert.deepEqual(diary.lines, ['a', 'pay', 'c!'])
  })
}

function unknowns(scenario: SagaScenario): void {
  const lost = (): Error => new Error('connection reset')
  const once = { retry: { attempts: 1 } }
  scenario('a step that may have happened is taken back like one that did', async fixture => {
    const diary = new Diary()
    const steps = [diary.step('a'), diary.failing('b', lost, { retry: { attempts: 2, firstPauseMs: 0 } })]
    const { view } = await ends(fixture, define(steps), 'compensated')
    assert.deepEqual(diary.lines, ['a', 'b!', 'b!', '-b?', '-a'])
    assert.match(view.failure ?? '', /b failed 2 times and may have happened: connection reset/)
  })
  scenario('a resolver decides about a step whose outcome is unknown', async fixture => {
    const diary = new Diary()
    const answers = ['unknown', 'unknown', 'done'] as const
    let asked = 0
    const unknown: SagaAction['unknown'] = async () => ({ outcome: answers[asked++] ?? 'unknown', output: 'found' })
    const steps = [diary.step('a'), diary.failing('b', lost, { ...once, unknown })]
    const { view } = await ends(fixture, define(steps), 'completed', [2_000, 4_000])
    assert.equal(asked, 3)
    assert.equal(view.steps[1]?.output, 'found')
  })
  scenario('a resolver that says no leads to compensation without that step', async fixture => {
    const diary = new Diary()
    const unknown: SagaAction['unknown'] = async () => ({ outcome: 'not-done' })
    const steps = [diary.step('a'), diary.failing('b', lost, { ...once, unknown })]
    await ends(fixture, define(steps), 'compensated')
    assert.deepEqual(diary.lines, ['a', 'b!', '-a'])
  })
  scenario('a resolver that never knows parks the saga; the operator decides', async fixture => {
    const diary = new Diary()
    const rules = { ...once, unknownRetry: { attempts: 2, firstPauseMs: 10 } }
    const unknown: SagaAction['unknown'] = async () => ({ outcome: 'unknown' })
    const steps = [diary.failing('a', lost, { ...rules, unknown }), diary.step('b')]
    const { view, sagas, worker } = await play(fixture, define(steps), [50])
    await using _ = worker
    assert.equal(view.state, 'parked')
    assert.deepEqual(
      [view.parked?.from, view.parked?.code, view.steps[0]?.state],
      ['running', 'outcome-unknown', 'unknown'],
    )
    await sagas.force('s', { act: 'complete-step', step: 'a', output: 7 }, operator)
    await worker.idle()
    const after = await sagas.get('s')
    assert.deepEqual([after?.state, after?.steps[0]?.output], ['completed', 7])
    assert.deepEqual(
      (await sagas.audit('s')).map(({ at: _at, ...rest }) => rest),
      [{ ...operator, act: 'complete-step', step: 'a' }],
    )
  })
  scenario('a step that does not answer in time is told so', async fixture => {
    let reason: unknown
    const slow: SagaAction = {
      name: 'a',
      timeoutMs: 300,
      ...once,
      run: ({ signal }) =>
        new Promise(() => signal.addEventListener('abort', () => (reason = signal.reason), { once: true })),
    }
    const sagas = fixture.node(define([slow]))
    await sagas.start({ id: 's', name: 'trip' })
    await using worker = sagas.work()
    const idle = worker.idle()
    await until(fixture, async () => (await sagas.get('s'))?.steps[0]?.state === 'intended')
    await fixture.pass(301)
    await idle
    assert.ok(CloudError.is(reason, 'core.contract.deadline-exceeded'))
    assert.equal((await sagas.get('s'))?.state, 'compensated')
  })
}

function signals(scenario: SagaScenario): void {
  const trip = (diary: Diary, timeoutMs?: number) =>
    define([
      diary.step('a'),
      { name: 'approval', waitFor: 'approved', ...(timeoutMs === undefined ? {} : { timeoutMs }) },
      diary.step('b'),
    ])
  const approve = { name: 'approved', payload: { by: 'bob' }, signalId: '1' }
  scenario('a saga waits for its signal, before or after it is given', async fixture => {
    for (const early of [true, false]) {
      const diary = new Diary()
      const sagas = fixture.node(trip(diary))
      const id = `early ${early}`
      await sagas.start({ id, name: 'trip' })
      if (early) await sagas.signal(id, approve)
      await using worker = sagas.work()
      await worker.idle()
      if (!early) {
        assert.deepEqual(diary.lines, ['a'])
        await sagas.signal(id, { ...approve, name: 'other', signalId: '0' })
        await worker.idle()
        await sagas.signal(id, approve)
        await sagas.signal(id, approve)
        await worker.idle()
      }
      const view = await sagas.get(id)
      assert.deepEqual([view?.state, view?.steps[1]?.output], ['completed', { by: 'bob' }])
      await sagas.signal(id, approve)
      await refuses('support.transaction.wrong-state', sagas.signal(id, { ...approve, signalId: '2' }))
    }
  })
  scenario('a signal that does not come in time fails its step', async fixture => {
    const diary = new Diary()
    await ends(fixture, trip(diary, 5_000), 'compensated', [4_000, 1_200])
    assert.deepEqual(diary.lines, ['a', '-a'])
  })
  scenario('a hundred signals wait, one more does not', async fixture => {
    const sagas = fixture.node(trip(new Diary()))
    await sagas.start({ id: 's', name: 'trip' })
    for (let index = 0; index < 100; index++) await sagas.signal('s', { name: 'x', signalId: `${index}` })
    await refuses('support.transaction.wrong-state', sagas.signal('s', { name: 'x', signalId: '100' }))
    await refuses('support.transaction.unknown-saga', sagas.signal('t', approve))
  })
  scenario('the whole saga has a time limit', async fixture => {
    const diary = new Diary()
    const { view } = await ends(fixture, { ...trip(diary), timeoutMs: 60_000 }, 'compensated', [59_000, 1_200])
    assert.match(view.failure ?? '', /in time/)
    assert.deepEqual(diary.lines, ['a', '-a'])
  })
}

function hands(scenario: SagaScenario): void {
  scenario('a saga is cancelled at the next safe point', async fixture => {
    const diary = new Diary()
    const sagas = fixture.node(define([diary.step('a'), { name: 'w', waitFor: 'x' }, diary.step('b')]))
    await sagas.start({ id: 's', name: 'trip' })
    await using worker = sagas.work()
    await worker.idle()
    await sagas.cancel('s', operator)
    await worker.idle()
    const view = await sagas.get('s')
    assert.deepEqual([view?.state, view?.failure], ['compensated', 'cancelled: because'])
    assert.deepEqual(diary.lines, ['a', '-a'])
    await refuses('support.transaction.wrong-state', sagas.cancel('s', operator))
    await refuses('support.transaction.unknown-saga', sagas.cancel('t', operator))
  })
  scenario('a compensation that fails parks; retry and skipping go on', async fixture => {
    for (const act of ['retry', 'skip'] as const) {
      const diary = new Diary()
      let broken = true
      const b = diary.step('b', {
        compensateRetry: { attempts: 2, firstPauseMs: 0 },
        compensate: async () => {
          diary.lines.push('-b')
          if (broken) throw new Error('stuck')
        },
      })
      const sagas = fixture.node(define([diary.step('a'), b, diary.failing('c', refusal)]))
      await sagas.start({ id: act, name: 'trip' })
      await using worker = sagas.work()
      await worker.idle()
      const parked = await sagas.get(act)
      assert.deepEqual([parked?.parked?.code, parked?.parked?.from], ['compensation-failed', 'compensating'])
      broken = false
      if (act === 'retry') await sagas.retry(act, operator)
      else await sagas.force(act, { act: 'skip-compensation', step: 'b' }, operator)
      await worker.idle()
      assert.equal((await sagas.get(act))?.state, 'compensated')
      assert.deepEqual(diary.lines, ['a', 'b', 'c!', '-b', '-b', ...(act === 'retry' ? ['-b'] : []), '-a'])
    }
  })
  scenario('a parked saga may be compensated by hand beyond a point of no return', async fixture => {
    const diary = new Diary()
    const steps = [diary.step('a'), diary.failing('b', refusal, { onFailure: 'park' })].map(step => step)
    const { compensate: _, ...b } = steps[1] as SagaAction
    const { sagas, worker } = await play(fixture, define([steps[0] as SagaAction, b]))
    await using _worker = worker
    const bad = { act: 'skip-compensation', step: 'a' } as const
    await refuses('support.transaction.wrong-state', sagas.force('s', bad, operator))
    await refuses(
      'support.transaction.wrong-state',
      sagas.force('s', { act: 'fail-step', step: 'a' }, operator),
      'step',
    )
    await sagas.force('s', { act: 'compensate' }, operator)
    await worker.idle()
    assert.equal((await sagas.get('s'))?.state, 'compensated')
    assert.deepEqual(diary.lines, ['a', 'b!', '-a'])
    assert.equal((await sagas.audit('s')).length, 1, 'what was refused is not recorded')
  })
}
