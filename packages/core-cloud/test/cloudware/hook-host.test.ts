import { test } from 'tap'
import { describePackage } from './fixture/fake-processes.js'
import { bench, during, paid, provide, reasonOf, refusal, section, transform, validate } from './fixture/host-bench.js'

test('a hook without packages costs nothing and changes nothing', async t => {
  const { host, processes } = bench(t)
  const value = { n: 1 }
  t.notOk(host.has('pricing.quote@1'))
  t.equal(await host.transform(transform, value), value)
  await host.validate(validate, value)
  t.equal(await host.provide(provide, value), undefined)
  t.same(await host.views(section, value), [])
  t.same(host.consumers('order.paid@1'), [])
  t.equal((await refusal(host.deliver(paid, 'gone', { id: 'e', data: 1 }))).retryable, true)
  t.equal(processes.all.length, 0)
})

test('the failure mode decides while a process is away: closed fails, open goes on', async t => {
  const { host, clock, processes } = bench(t)
  await host.set([
    describePackage('guard', [{ hook: validate.name, kind: 'validate', failure: 'closed' }]),
    describePackage('price', [{ hook: transform.name, kind: 'transform', failure: 'open' }]),
  ])
  for (const process of processes.all) process.exit('exited with code 1')
  t.equal(await reasonOf(host.validate(validate, {})), 'down')
  t.same(await host.transform(transform, { n: 1 }), { n: 1 })
  t.ok(host.has(validate.name), 'it is still there')
  await clock.pass(1_100)
  processes.behaviour.answer = call => (call.hook === validate.name ? { ok: true } : { n: 2 })
  await host.validate(validate, {})
  t.same(await host.transform(transform, { n: 1 }), { n: 2 })
})

test('an answer of the wrong form is a failure', async t => {
  const { host, processes } = bench(t, { breakerFailures: 1_000 })
  const closed = { failure: 'closed' }
  await host.set([
    describePackage('a', [
      { hook: validate.name, kind: 'validate', ...closed },
      { hook: transform.name, kind: 'transform', ...closed },
      { hook: provide.name, kind: 'provide', ...closed },
      { hook: section.name, kind: 'view' },
    ]),
  ])
  for (const answer of [
    undefined,
    null,
    true,
    {},
    { ok: false },
    { ok: false, message: '' },
    { ok: false, message: 'm'.repeat(501) },
    { ok: 'yes' },
  ]) {
    processes.behaviour.answer = () => answer
    t.equal(await reasonOf(host.validate(validate, {})), 'wrong-result', JSON.stringify(answer))
  }
  for (const answer of [undefined, { n: 1.5 }, { n: '1' }, []]) {
    processes.behaviour.answer = () => answer
    t.equal(await reasonOf(host.transform(transform, { n: 1 })), 'wrong-result', JSON.stringify(answer))
    t.equal(await reasonOf(host.provide(provide, {})), 'wrong-result', JSON.stringify(answer))
  }
  const block = { type: 'text', text: 'x' }
  const views = [
    { title: '', blocks: [] },
    { title: 'x' },
    { title: 'x', blocks: [{ type: 'script', text: 'x' }] },
    { title: 'x', blocks: Array(51).fill(block) },
  ]
  for (const answer of views) {
    processes.behaviour.answer = () => answer
    t.same(await host.views(section, {}), [])
  }
  processes.behaviour.answer = () => ({ title: 'x', blocks: Array(50).fill(block) })
  t.equal((await host.views(section, {})).length, 1)
})

test('a veto ends the chain and carries message and field', async t => {
  const { host, processes } = bench(t)
  await host.set(['b', 'a', 'c'].map(name => describePackage(name, [{ hook: validate.name, kind: 'validate' }])))
  const asked: number[] = []
  processes.behaviour.answer = call => {
    asked.push(call.id)
    return asked.length === 2 ? { ok: false, message: 'no more than 3', field: 'lines/0/quantity' } : { ok: true }
  }
  const error = await refusal(host.validate(validate, {}))
  t.match(error, {
    code: 'core.cloudware.vetoed',
    message: 'no more than 3',
    field: 'lines/0/quantity',
    details: { package: 'b' },
  })
  t.equal(asked.length, 2)
})

test('provide asks in order and takes the first answer', async t => {
  const { host, processes } = bench(t)
  await host.set([
    describePackage('late', [{ hook: provide.name, kind: 'provide', order: 5 }]),
    describePackage('early', [{ hook: provide.name, kind: 'provide', order: -5 }]),
  ])
  processes.behaviour.answer = () => 0
  t.equal(await host.provide(provide, {}), 0)
  t.equal(processes.all[1]?.sent.filter(frame => frame.t === 'call').length, 1, 'early was asked')
  t.equal(processes.all[0]?.sent.filter(frame => frame.t === 'call').length, 0, 'late was not')
})

test('a package that does not start leaves the old one serving, shows it, and takes over when it can', async t => {
  const { host, clock, processes } = bench(t)
  const hooks = [{ hook: transform.name, kind: 'transform' }]
  await host.set([describePackage('price', hooks)])
  processes.behaviour.starts = false
  await during(clock, 10_000, host.set([describePackage('price', hooks, { version: '2.0.0' })]))
  t.match(host.status(), [
    { version: '1.0.0', state: 'ready' },
    { version: '2.0.0', state: 'backoff', lastError: 'was not ready within 10000 ms' },
  ])
  t.same(await host.transform(transform, { n: 1 }), { n: 1 })
  processes.behaviour.starts = true
  await clock.pass(1_100)
  t.match(host.status(), [{ version: '2.0.0', state: 'ready' }])
  t.ok(processes.all[0]?.exited, 'the old one is gone')
})

test('going back to the version that serves drops the one that did not start', async t => {
  const { host, clock, processes } = bench(t)
  const hooks = [{ hook: transform.name, kind: 'transform' }]
  const one = describePackage('price', hooks)
  await host.set([one])
  processes.behaviour.starts = false
  await during(clock, 10_000, host.set([describePackage('price', hooks, { version: '2.0.0' })]))
  await host.set([one])
  t.match(host.status(), [{ version: '1.0.0', state: 'ready' }])
  t.equal(host.status().length, 1)
  await clock.pass(120_000)
  t.equal(processes.all.length, 2, 'and it is not tried again')
})

test('a new package that does not start counts as present: its failure mode decides', async t => {
  const { host, clock, processes } = bench(t)
  processes.behaviour.starts = false
  const set = host.set([describePackage('guard', [{ hook: validate.name, kind: 'validate', failure: 'closed' }])])
  await clock.pass(9_999)
  await host.validate(validate, {})
  await during(clock, 1, set)
  t.equal(await reasonOf(host.validate(validate, {})), 'down')
  processes.behaviour.starts = true
  processes.behaviour.answer = () => ({ ok: true })
  await clock.pass(1_100)
  await host.validate(validate, {})
})

test('a wrong configuration is not started and not tried again; a right one is', async t => {
  const { host, clock, processes } = bench(t)
  const config = {
    type: 'object',
    properties: { percent: { type: 'integer', default: 5 } },
    required: ['percent'],
    additionalProperties: false,
  }
  const given = (value: unknown) =>
    describePackage('price', [{ hook: transform.name, kind: 'transform' }], { config: value })
  const loaded = (value: unknown) => {
    const base = given(value)
    return { ...base, packageJson: { ...base.packageJson, aaas: { ...base.packageJson.aaas, config } } }
  }
  await host.set([loaded({ percent: 'many' })])
  await clock.pass(120_000)
  t.equal(processes.all.length, 0)
  t.match(host.status(), [{ state: 'backoff', lastError: 'price: config/percent must be integer' }])
  await host.set([loaded({})])
  t.match(processes.last.sent[0], { t: 'start', config: { percent: 5 } })
  await host.set([loaded({ percent: 7 })])
  t.match(processes.last.sent[0], { t: 'start', config: { percent: 7 } })
  t.equal(processes.all.length, 2)
  await host.set([loaded({ percent: 7 })])
  t.equal(processes.all.length, 2, 'the same again starts nothing')
})

test('a bad list is refused and changes nothing', async t => {
  const { host } = bench(t)
  const one = describePackage('a', [{ hook: paid.name, kind: 'on' }])
  await host.set([one])
  t.match(await refusal(host.set([one, { ...one, config: 1 }])), { code: 'core.kernel.invalid-config' })
  const bad = { ...one, packageJson: { ...one.packageJson, version: 'x' } }
  t.match(await refusal(host.set([bad])), { code: 'core.cloudware.invalid-manifest' })
  t.match(host.status(), [{ name: 'a', state: 'ready' }])
})

test('a replaced process finishes its calls, and no longer than the drain limit', async t => {
  const { host, clock, processes } = bench(t)
  const hooks = [{ hook: paid.name, kind: 'on', deadlineMs: 10_000 }]
  await host.set([describePackage('slow', hooks)])
  processes.behaviour.answer = () => 'never'
  const delivery = host.deliver(paid, 'slow', { id: 'e1', data: 1 })
  await clock.pass(0)
  const old = processes.last
  let ended = false
  const set = host.set([describePackage('slow', hooks, { version: '2.0.0' })]).then(() => {
    ended = true
  })
  await clock.pass(5_000)
  t.notOk(old.exited)
  t.notOk(ended, 'the set waits for it')
  const call = old.sent.find(frame => frame.t === 'call')
  old.events.frame({ t: 'result', id: call?.id })
  await delivery
  await during(clock, 0, set)
  t.ok(old.exited)
  t.equal(host.consumers(paid.name).length, 1)
})

test('a chain under way skips what was removed meanwhile and takes what replaced it', async t => {
  const { host, clock, processes } = bench(t)
  const use = (order: number) => [{ hook: transform.name, kind: 'transform', failure: 'closed', order }]
  const [a, b, c] = ['a', 'b', 'c'].map((name, order) => describePackage(name, use(order)))
  if (a === undefined || b === undefined || c === undefined) throw new Error('three packages')
  await host.set([a, b, c])
  const first = processes.all[0]
  processes.behaviour.answer = () => 'never'
  const result = host.transform(transform, { n: 1 })
  await clock.pass(0)
  processes.behaviour.answer = call => ({ n: (call.input as { n: number }).n + 10 })
  await host.set([a, describePackage('c', use(2), { version: '2.0.0' })])
  const call = first?.sent.find(frame => frame.t === 'call')
  first?.events.frame({ t: 'result', id: call?.id, value: { n: 2 } })
  t.same(await result, { n: 12 })
  t.equal(processes.all.length, 4)
})

test('sets that come while one is under way end with the newest', async t => {
  const { host, clock, processes } = bench(t)
  const version = (n: number) => [describePackage('p', [{ hook: paid.name, kind: 'on' }], { version: `1.0.${n}` })]
  await during(clock, 0, Promise.all([1, 2, 3, 4].map(n => host.set(version(n)))))
  t.match(host.status(), [{ version: '1.0.4', state: 'ready' }])
  t.equal(host.status().length, 1)
  t.equal(processes.all.filter(process => !process.exited).length, 1)
})

test('after the stop nothing runs, nothing is called and nothing can be set', async t => {
  const { host, clock, processes } = bench(t)
  await host.set([describePackage('a', [{ hook: validate.name, kind: 'validate', failure: 'closed' }])])
  processes.behaviour.stops = false
  await during(clock, 2_000, host[Symbol.asyncDispose]())
  t.ok(processes.last.exited, 'what does not stop in time is killed')
  await host.validate(validate, {})
  t.same(host.status(), [])
  t.equal((await refusal(host.set([]))).code, 'core.kernel.stopped')
  t.equal(clock.pending, 0, 'no timer is left')
})

test('a stop does not wait for a start that hangs', async t => {
  const { host, clock, processes } = bench(t)
  processes.behaviour.starts = false
  const set = host.set([describePackage('a', [{ hook: paid.name, kind: 'on' }])])
  await clock.pass(10)
  await during(clock, 0, host[Symbol.asyncDispose]())
  await set
  t.ok(processes.last.exited)
})
