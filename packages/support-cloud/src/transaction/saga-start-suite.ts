import assert from 'node:assert/strict'
import type { SagaDefinition } from './saga.js'
import { Diary, define, type SagaScenario } from './saga-suite-fixture.js'
import { refuses } from './transaction-suite.js'

/** How sagas are started, listed and forgotten, and what is refused. */
export function sagaStarts(scenario: SagaScenario): void {
  scenario('starting twice is starting once; another content is a conflict', async fixture => {
    const sagas = fixture.node(define([new Diary().step('a')]))
    assert.equal(await sagas.start({ id: 's', name: 'trip', input: { a: 1, b: 2 } }), true)
    assert.equal(await sagas.start({ id: 's', name: 'trip', input: { b: 2, a: 1 } }), false)
    await refuses('support.transaction.conflict', sagas.start({ id: 's', name: 'trip', input: { a: 2 } }))
    await refuses('support.transaction.unknown-saga', sagas.start({ id: 't', name: 'none' }))
    await refuses('core.contract.invalid-input', sagas.start({ id: '', name: 'trip' }), 'id')
    await refuses('core.contract.invalid-input', sagas.start({ id: 'x'.repeat(201), name: 'trip' }), 'id')
    await sagas.start({ id: 't', name: 'trip', input: 'x'.repeat(998) })
    const tooLong = sagas.start({ id: 'u', name: 'trip', input: 'x'.repeat(999) })
    await refuses('support.transaction.too-large', tooLong, 'input')
  })
  scenario('a saga starts with the transaction that starts it', async fixture => {
    const sagas = fixture.node(define([new Diary().step('a')]))
    const work = fixture.database.transaction(async tx => {
      await sagas.start({ id: 's', name: 'trip' }, tx)
      throw new Error('no')
    })
    await assert.rejects(work, { message: 'no' })
    assert.equal(await sagas.get('s'), undefined)
  })
  scenario('sagas are listed in order and forgotten when they ended', async fixture => {
    const sagas = fixture.node(define([new Diary().step('a')]), define([{ name: 'w', waitFor: 'x' }], { name: 'wait' }))
    for (let index = 0; index < 5; index++) await sagas.start({ id: `${index}`, name: index < 3 ? 'trip' : 'wait' })
    await using worker = sagas.work()
    await worker.idle()
    const first = await sagas.list({ limit: 2 })
    const rest = await sagas.list({ after: first[1]?.position ?? 0 })
    assert.deepEqual(
      [...first, ...rest].map(saga => saga.id),
      ['0', '1', '2', '3', '4'],
    )
    assert.equal((await sagas.list({ state: 'completed' })).length, 3)
    assert.equal((await sagas.list({ name: 'wait', state: 'running' })).length, 2)
    await refuses('core.contract.invalid-input', sagas.list({ limit: 1_001 }), 'limit')
    assert.equal(await sagas.forget({ before: fixture.now() - 1 }), 0)
    assert.equal(await sagas.forget({ before: fixture.now() + 1, limit: 2 }), 2)
    assert.equal((await sagas.list()).length, 3)
  })
  scenario('malformed definitions are refused by name', async fixture => {
    const bad: readonly (readonly [Partial<SagaDefinition>, string])[] = [
      [{ name: '' }, 'name'],
      [{ version: 0 }, 'version'],
      [{ steps: [] }, 'steps'],
      [{ steps: Array.from({ length: 51 }, (_, index) => new Diary().step(`${index}`)) }, 'steps'],
      [{ steps: [new Diary().step('a'), new Diary().step('a')] }, 'steps'],
      [{ steps: [new Diary().step('a', { retry: { attempts: 101 } })] }, 'steps/0/retry/attempts'],
      [{ steps: [new Diary().step('a', { onFailure: 'park' })] }, 'steps/0/compensate'],
      [{ timeoutMs: 0 }, 'timeoutMs'],
    ]
    for (const [change, field] of bad) {
      const made = async () => fixture.node(define([new Diary().step('a')], change))
      await refuses('core.contract.invalid-input', made(), field)
    }
    fixture.node(define(Array.from({ length: 50 }, (_, index) => new Diary().step(`${index}`))))
  })
}
