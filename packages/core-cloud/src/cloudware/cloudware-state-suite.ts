import assert from 'node:assert/strict'
import type { CloudwareState } from './cloudware.js'

/** A driver under test: `stateFor` must give empty namespaces. */
export interface CloudwareStateFixture extends AsyncDisposable {
  readonly stateFor: (packageName: string) => CloudwareState
}

/** The promises of {@link CloudwareState}, for any test runner. */
export function cloudwareStateSuite(
  test: (name: string, fn: () => Promise<void>) => unknown,
  open: () => Promise<CloudwareStateFixture>,
): void {
  const on = (name: string, fn: (stateFor: CloudwareStateFixture['stateFor']) => Promise<void>): void => {
    test(name, async () => {
      await using fixture = await open()
      await fn(fixture.stateFor)
    })
  }

  on('a value comes back as it was put, and an absent one is undefined', async stateFor => {
    const state = stateFor('a')
    assert.equal(await state.get('k'), undefined)
    for (const value of [null, 0, '', false, 'text 中文', { deep: [1, { a: null }] }, []]) {
      await state.put('k', value)
      assert.deepEqual(await state.get('k'), value)
    }
  })

  on('changing a value that was read or put does not change what is kept', async stateFor => {
    const state = stateFor('a')
    const value = { list: [1] }
    await state.put('k', value)
    value.list.push(2)
    const read = (await state.get('k')) as { list: number[] }
    read.list.push(3)
    assert.deepEqual(await state.get('k'), { list: [1] })
  })

  on('packages do not see each other', async stateFor => {
    await stateFor('a').put('k', 1)
    assert.equal(await stateFor('b').get('k'), undefined)
    assert.equal(await stateFor('b').incrementOnce('n', 1, 'event'), 1)
    assert.equal(await stateFor('a').incrementOnce('n', 1, 'event'), 1)
  })

  on('increments that run at once all count', async stateFor => {
    const state = stateFor('a')
    await Promise.all(Array.from({ length: 50 }, (_, index) => state.increment('n', index % 2 === 0 ? 3 : -1)))
    assert.equal(await state.get('n'), 50)
    assert.equal(await state.increment('n', 0), 50)
  })

  on('an increment with a reason counts once, however often and however parallel it is repeated', async stateFor => {
    const state = stateFor('a')
    await Promise.all(Array.from({ length: 40 }, (_, index) => state.incrementOnce('n', 5, `event-${index % 4}`)))
    assert.equal(await state.get('n'), 20)
    assert.equal(await state.incrementOnce('n', 5, 'event-0'), 20)
    assert.equal(await state.incrementOnce('other', 5, 'event-0'), 5)
    assert.equal(await state.increment('n', 1), 21)
  })

  on('keys of 200 characters and values of 64 KiB fit', async stateFor => {
    const state = stateFor('a')
    const key = 'k'.repeat(200)
    const value = 'v'.repeat(65_534)
    await state.put(key, value)
    assert.equal(await state.get(key), value)
  })
}
