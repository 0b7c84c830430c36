import { memoryCloudwareState } from '@aaas/core-cloud/cloudware'
import { test } from 'tap'
import { describePackage } from './fixture/fake-processes.js'
import { bench, during, paid, reasonOf, transform, validate } from './fixture/host-bench.js'

test('a handler that misses its deadline is told to stop, and its late answer is ignored', async t => {
  const { host, clock, processes } = bench(t)
  await host.set([describePackage('slow', [{ hook: transform.name, kind: 'transform', deadlineMs: 300 }])])
  processes.behaviour.answer = () => 'never'
  const value = { n: 1 }
  const result = host.transform(transform, value)
  await clock.pass(299)
  t.equal(processes.last.sent.at(-1)?.t, 'call')
  t.equal(await during(clock, 1, result), value)
  const call = processes.last.sent.find(frame => frame.t === 'call')
  t.same(
    processes.last.sent.find(frame => frame.t === 'abort'),
    { t: 'abort', id: call?.id },
  )
  processes.last.events.frame({ t: 'result', id: call?.id, value: { n: 9 } })
  await clock.pass(10_000)
  t.match(host.status(), [{ state: 'ready', calls: 1, failures: 1, restarts: 0, lastError: /no answer within 300 ms/ }])
})

test('a process without a sign of life for 2 s after a missed deadline is killed and restarted', async t => {
  const { host, clock, processes } = bench(t)
  await host.set([describePackage('hung', [{ hook: transform.name, kind: 'transform' }])])
  Object.assign(processes.behaviour, { answer: () => 'never', pongs: false })
  t.same(await during(clock, 200, host.transform(transform, { n: 1 })), { n: 1 })
  await clock.pass(2_000)
  t.notOk(processes.last.exited, 'it gets a second look')
  await clock.pass(50)
  t.ok(processes.last.exited)
  t.match(host.status(), [{ state: 'backoff', lastError: 'gave no sign of life for 2000 ms' }])
  processes.behaviour.answer = call => call.input
  await clock.pass(1_100)
  t.match(host.status(), [{ state: 'ready', restarts: 1 }])
})

test('restarts wait longer each time, up to 30 s, and start over after a minute of life', async t => {
  const { host, clock, processes } = bench(t)
  await host.set([describePackage('weak', [{ hook: paid.name, kind: 'on' }])])
  for (const waitMs of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
    const before = processes.all.length
    processes.last.exit('exited with code 1')
    await clock.pass(waitMs * 0.89)
    t.equal(processes.all.length, before, `not before ${waitMs * 0.9} ms`)
    await clock.pass(waitMs * 0.22)
    t.equal(processes.all.length, before + 1, `by ${waitMs * 1.1} ms`)
  }
  await clock.pass(60_000)
  processes.last.exit('exited with code 1')
  await clock.pass(1_100)
  t.match(host.status(), [{ state: 'ready', restarts: 8 }])
})

test('a handler that keeps failing is not called for a while; others of the package are', async t => {
  const { host, clock, processes, logs } = bench(t)
  const hooks = [
    { hook: validate.name, kind: 'validate', failure: 'closed' },
    { hook: transform.name, kind: 'transform', failure: 'closed' },
  ]
  await host.set([describePackage('half', hooks)])
  processes.behaviour.answer = call => {
    if (call.hook === transform.name) return { n: 7 }
    throw new Error('broken')
  }
  for (let n = 0; n < 5; n++) t.equal(await reasonOf(host.validate(validate, {})), 'threw')
  const sent = processes.last.sent.length
  t.equal(await reasonOf(host.validate(validate, {})), 'circuit-open')
  t.equal(processes.last.sent.length, sent, 'nothing was sent')
  t.same(await host.transform(transform, { n: 1 }), { n: 7 })
  await clock.pass(1_000)
  processes.behaviour.answer = () => ({ ok: true })
  await host.validate(validate, {})
  await host.validate(validate, {})
  t.equal(logs.filter(({ message }) => message.includes('keeps failing')).length, 1)
})

test('64 calls are in flight, the next one fails at once and does not open the circuit', async t => {
  const { host, clock, processes } = bench(t)
  await host.set([
    describePackage('busy', [{ hook: validate.name, kind: 'validate', failure: 'closed', deadlineMs: 5_000 }]),
  ])
  processes.behaviour.answer = () => 'never'
  const calls = Array.from({ length: 64 }, () => host.validate(validate, {}))
  await clock.pass(0)
  for (let n = 0; n < 10; n++) t.equal(await reasonOf(host.validate(validate, {})), 'refused')
  for (const frame of processes.last.sent)
    if (frame.t === 'call') processes.last.events.frame({ t: 'result', id: frame.id, value: { ok: true } })
  await Promise.all(calls)
  processes.behaviour.answer = () => ({ ok: true })
  await host.validate(validate, {})
})

test('a process over its memory is killed; the highest size is kept', async t => {
  const { host, clock, processes } = bench(t)
  await host.set([describePackage('fat', [{ hook: paid.name, kind: 'on' }], { resources: { memoryMb: 100 } })])
  processes.behaviour.residentBytes = 100 * 1_048_576
  await clock.pass(1_000)
  t.match(host.status(), [{ state: 'ready', memoryBytes: 100 * 1_048_576 }])
  processes.behaviour.residentBytes = 100 * 1_048_576 + 1
  await clock.pass(250)
  t.ok(processes.all[0]?.exited)
  t.match(host.status(), [{ state: 'backoff', lastError: 'used 100 MiB of memory; 100 are allowed' }])
})

test('where the system does not tell the size, the report of the process counts', async t => {
  const { host, clock, processes } = bench(t)
  processes.behaviour.residentBytes = undefined
  await host.set([describePackage('fat', [{ hook: paid.name, kind: 'on' }])])
  processes.last.events.frame({ t: 'memory', bytes: 200 * 1_048_576 })
  await clock.pass(250)
  t.match(host.status(), [{ state: 'backoff', memoryBytes: 200 * 1_048_576 }])
})

test('a process that floods the host, or speaks another language, is killed', async t => {
  for (const [misbehave, why] of [
    [
      (send: (frame: unknown) => void) => Array.from({ length: 5_002 }, () => send({ t: 'pong', id: 1 })),
      'sent too many frames',
    ],
    [(send: (frame: unknown) => void) => send({ t: 'unknown' }), 'sent a frame of no known form'],
    [(send: (frame: unknown) => void) => send({ t: 'result', id: -1 }), 'sent a frame of no known form'],
    [(send: (frame: unknown) => void) => send([]), 'sent a frame of no known form'],
  ] as const) {
    const { host, clock, processes } = bench(t)
    await host.set([describePackage('noisy', [{ hook: paid.name, kind: 'on' }])])
    misbehave(frame => processes.last.events.frame(frame))
    await clock.pass(0)
    t.match(host.status(), [{ state: 'backoff', lastError: why }])
  }
})

test('100 lines a second are kept, the rest is dropped and said', async t => {
  const { host, clock, processes, logs } = bench(t)
  await host.set([describePackage('chatty', [{ hook: paid.name, kind: 'on' }])])
  for (let n = 0; n < 300; n++)
    processes.last.events.frame({ t: 'log', level: 'info', message: `line ${n}`, fields: { n } })
  t.equal(logs.filter(({ message }) => message.startsWith('line')).length, 100)
  t.equal(logs.filter(({ message }) => message.includes('too many lines')).length, 1)
  await clock.pass(1_000)
  processes.last.events.printed('again')
  t.match(logs.at(-1), { message: 'again', fields: { package: 'chatty', printed: true } })
})

test('state is kept per package, within its limits, and only where the program gives a place', async t => {
  const { host, clock, processes } = bench(t)
  await host.set([describePackage('keeper', [{ hook: paid.name, kind: 'on' }])])
  let id = 0
  const ask = async (request: object): Promise<unknown> => {
    id += 1
    processes.last.events.frame({ t: 'state', id, ...request })
    await clock.pass(0)
    const answer = processes.last.sent.findLast(frame => frame.t === 'state' && frame.id === id)
    return answer?.t === 'state' ? (answer.error?.code ?? answer.value) : 'no answer'
  }
  t.equal(await ask({ op: 'get', key: 'k' }), 'core.cloudware.state-unavailable')
  const stateFor = memoryCloudwareState()
  host.useState(stateFor)
  t.equal(await ask({ op: 'put', key: 'k', value: { a: 1 } }), undefined)
  t.same(await ask({ op: 'get', key: 'k' }), { a: 1 })
  t.same(await stateFor('keeper').get('k'), { a: 1 })
  t.equal(await ask({ op: 'increment', key: 'n', by: 2 }), 2)
  t.equal(await ask({ op: 'increment-once', key: 'n', by: 2, once: 'e1' }), 4)
  t.equal(await ask({ op: 'increment-once', key: 'n', by: 2, once: 'e1' }), 4)
  t.equal(await ask({ op: 'put', key: 'k'.repeat(200), value: 'v'.repeat(65_534) }), undefined)
  const outside = [
    { op: 'put', key: 'k'.repeat(201), value: 1 },
    { op: 'put', key: '', value: 1 },
    { op: 'put', key: 'k', value: 'v'.repeat(65_535) },
    { op: 'increment', key: 'n', by: 1.5 },
    { op: 'increment', key: 'n', by: 2 ** 53 },
    { op: 'increment-once', key: 'n', by: 1, once: '' },
    { op: 'drop', key: 'n' },
  ]
  for (const request of outside)
    t.equal(await ask(request), 'core.cloudware.invalid-state', JSON.stringify(request).slice(0, 60))
})
