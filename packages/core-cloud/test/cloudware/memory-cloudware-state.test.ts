import { memoryCloudwareState } from '@aaas/core-cloud/cloudware'
import { cloudwareStateSuite } from '@aaas/core-cloud/cloudware/suite'
import { test } from 'tap'

cloudwareStateSuite(test, async () => ({
  stateFor: memoryCloudwareState(),
  async [Symbol.asyncDispose]() {},
}))

test('a sum that leaves the safe integers is refused and changes nothing', async t => {
  const state = memoryCloudwareState()('a')
  await state.put('n', Number.MAX_SAFE_INTEGER)
  await t.rejects(state.increment('n', 1), RangeError)
  await t.rejects(state.incrementOnce('n', 1, 'e'), RangeError)
  t.equal(await state.get('n'), Number.MAX_SAFE_INTEGER)
  t.equal(await state.incrementOnce('n', -1, 'e'), Number.MAX_SAFE_INTEGER - 1)
})
