import { test } from 'tap'
import { RateLimiter } from '../../src/open-api/index.js'

test('a caller gets its rate and a burst of one second, then waits', async t => {
  const limiter = new RateLimiter()
  let admitted = 0
  for (let index = 0; index < 30; index++) if (limiter.take('a', 10, 0) === 0) admitted += 1
  t.equal(admitted, 10)
  t.ok(limiter.take('a', 10, 0) > 0)
  t.equal(limiter.take('b', 10, 0), 0, 'others are not affected')
  t.equal(limiter.take('a', 10, 100), 0, 'one more after its interval')
  t.ok(limiter.take('a', 10, 100) > 0)
  let later = 0
  for (let at = 1_000; at < 11_000; at += 10) if (limiter.take('a', 10, at) === 0) later += 1
  t.ok(later >= 100 && later <= 110, `${later} in ten seconds`)
})

test('callers remembered have a limit', async t => {
  const limiter = new RateLimiter(100)
  for (let index = 0; index < 10_000; index++) limiter.take(`caller ${index}`, 1, 0)
  t.equal(limiter.take('caller 9999', 1, 0) > 0, true, 'the newest is remembered')
  t.equal(limiter.take('caller 0', 1, 0), 0, 'the oldest was forgotten')
})
