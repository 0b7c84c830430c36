import { CloudError } from '@aaas/core-cloud/kernel'
import { seededIds } from '@aaas/testing'
import { test } from 'tap'
import { PasswordHasher } from '../../src/party/password.js'

const cost = { N: 16, r: 1, p: 1 }

test('a hash verifies its password alone', async t => {
  const hasher = new PasswordHasher({ ids: seededIds(), cost })
  const hash = await hasher.hash('pass wörd')
  t.equal(await hasher.verify('pass wörd', hash), 'right')
  t.equal(await hasher.verify('pass wo\u0308rd', hash), 'right', 'the same password from another keyboard')
  t.equal(await hasher.verify('pass word', hash), 'wrong')
  t.equal(await hasher.verify('', undefined), 'wrong', 'the hash of nobody fits no password')
  t.not(await hasher.hash('pass wörd'), hash)
  await t.rejects(hasher.verify('x', 'scrypt$16$1$1$short$x'), { code: 'core.kernel.internal' })
})

test('the default cost works within its memory limit', async t => {
  const hasher = new PasswordHasher({ ids: seededIds() })
  t.match(await hasher.hash('x'), /^scrypt\$16384\$8\$5\$/)
})

test('only so many hash at once, only so many wait', async t => {
  const hasher = new PasswordHasher({ ids: seededIds(), cost, parallel: 1, waiting: 2 })
  const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => hasher.hash('x')))
  t.same(
    outcomes.map(outcome => outcome.status),
    ['fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'rejected'],
  )
  for (const outcome of outcomes)
    if (outcome.status === 'rejected') t.ok(CloudError.is(outcome.reason, 'core.contract.rate-limited'))
  await hasher.hash('x')
})
