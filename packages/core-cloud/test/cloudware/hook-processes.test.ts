import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import {
  type CloudwareStatus,
  createHookHost,
  type HookLimits,
  memoryCloudwareState,
  type RunningHookHost,
} from '@aaas/core-cloud/cloudware'
import { createLogger, type LogRecord, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { eventually } from '@aaas/testing'
import { type Test, test } from 'tap'
import { paid, reasonOf, refusal, section, transform, validate } from './fixture/host-bench.js'
import { SamplePackages } from './fixture/sample-package.js'

/** Real child processes, with shorter waits than in production. */
const quick: Partial<HookLimits> = {
  pingMs: 300,
  restartFirstMs: 50,
  restartMaxMs: 100,
  memoryCheckMs: 25,
  breakerFailures: 1_000,
}

interface Bench {
  readonly host: RunningHookHost
  readonly packages: SamplePackages
  readonly logs: LogRecord[]
}

async function bench(t: Test, limits: Partial<HookLimits> = quick): Promise<Bench> {
  const packages = await SamplePackages.open()
  const logs: LogRecord[] = []
  const logger = createLogger({ now: () => 0, write: record => logs.push(record) })
  const host = createHookHost({
    clock: systemClock(),
    ids: systemIds(),
    logger,
    stateFor: memoryCloudwareState(),
    limits,
  })
  t.teardown(async () => {
    await host[Symbol.asyncDispose]()
    await packages[Symbol.asyncDispose]()
  })
  return { host, packages, logs }
}

const state = (host: RunningHookHost, name: string): CloudwareStatus | undefined =>
  host.status().find(each => each.name === name)
const quote = (more: object = {}) => ({ hook: transform.name, kind: 'transform', ...more })
const plus = (by: number): string => `register('pricing.quote@1', value => ({ n: value.n + ${by} }))`
const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test('handlers run in order, in processes of their own, and see nothing of the host', async t => {
  process.env.AAAS_TEST_SECRET = 'secret'
  const { host, packages } = await bench(t)
  await host.set([
    await packages.write({
      name: 'times',
      hooks: [quote({ order: 2 })],
      start: "register('pricing.quote@1', v => ({ n: v.n * 10 }))",
    }),
    await packages.write({ name: 'first', hooks: [quote({ order: 1 })], start: plus(1) }),
    await packages.write({ name: 'last', hooks: [quote({ order: 2 })], start: plus(3) }),
    await packages.write({
      name: 'spy',
      hooks: [{ hook: section.name, kind: 'view', deadlineMs: 2_000 }],
      start: `register('console.section@1', async () => {
        const { readFileSync, writeFileSync } = await import('node:fs')
        const { execFileSync } = await import('node:child_process')
        const tried = [() => readFileSync('/etc/passwd'), () => readFileSync('/proc/' + process.ppid + '/environ'),
          () => writeFileSync(new URL('./x', import.meta.url), 'x'), () => execFileSync('id')]
        const codes = tried.map(probe => { try { probe(); return 'allowed' } catch (error) { return error.code } })
        return { title: JSON.stringify(Object.keys(process.env).sort()), blocks: codes.map(text => ({ type: 'text', text })) }
      })`,
    }),
  ])
  t.same(await host.transform(transform, { n: 1 }), { n: 50 }, '((1 + 1) + 3) * 10: equal orders by name')
  const [answer] = await host.views(section, {})
  t.equal(answer?.view.title, '["PATH","TZ"]')
  t.same(new Set(answer?.view.blocks.map(block => 'text' in block && block.text)), new Set(['ERR_ACCESS_DENIED']))
})

test('one that throws, one that exits and one that answers rubbish hurt nobody else', async t => {
  const { host, packages } = await bench(t)
  await host.set([
    await packages.write({
      name: 'throws',
      hooks: [quote()],
      start: "register('pricing.quote@1', async () => { throw new Error('no') })",
    }),
    await packages.write({
      name: 'exits',
      hooks: [quote({ order: 1 })],
      start: "register('pricing.quote@1', () => process.exit(3))",
    }),
    await packages.write({
      name: 'rubbish',
      hooks: [quote({ order: 2 })],
      start: "register('pricing.quote@1', () => ({ n: 'x' }))",
    }),
    await packages.write({
      name: 'cycle',
      hooks: [quote({ order: 3 })],
      start: "register('pricing.quote@1', v => { v.self = v; return v })",
    }),
    await packages.write({
      name: 'late',
      hooks: [quote({ order: 4 })],
      start: "register('pricing.quote@1', async v => { setTimeout(() => { throw new Error('stray') }, 1); return v })",
    }),
    await packages.write({ name: 'good', hooks: [quote({ order: 5 })], start: plus(1) }),
  ])
  t.same(await host.transform(transform, { n: 1 }), { n: 2 })
  await eventually(
    'the strays were seen',
    () => state(host, 'late')?.lastError !== undefined && state(host, 'exits')?.lastError !== undefined,
  )
  t.match(state(host, 'throws'), { lastError: 'pricing.quote@1 no', restarts: 0 })
  t.match(state(host, 'exits'), { lastError: 'exited with code 3' })
  t.match(state(host, 'rubbish'), { lastError: /n must be integer/ })
  t.match(state(host, 'cycle'), { lastError: /cannot be sent/ })
  t.match(state(host, 'late'), { lastError: 'exited with code 1; it last printed: Error: stray' })
  await eventually('they are back', () => host.status().every(each => each.state === 'ready'))
  t.same(await host.transform(transform, { n: 1 }), { n: 2 })
})

test('a busy loop is killed and restarted; calls of others go on meanwhile', async t => {
  const { host, packages } = await bench(t)
  await host.set([
    await packages.write({
      name: 'hangs',
      hooks: [{ hook: validate.name, kind: 'validate', failure: 'closed', deadlineMs: 50 }],
      start: "register('order.place@1', input => { while (input.hang); return { ok: true } })",
    }),
    await packages.write({ name: 'good', hooks: [quote()], start: plus(1) }),
  ])
  await host.validate(validate, {})
  const hung = host.validate(validate, { hang: true })
  t.same(await host.transform(transform, { n: 1 }), { n: 2 })
  t.equal(await reasonOf(hung), 'deadline')
  await eventually(
    'it was killed',
    () => state(host, 'hangs')?.restarts === 1 && state(host, 'hangs')?.state === 'ready',
  )
  t.match(state(host, 'hangs'), { lastError: /sign of life/ })
  await host.validate(validate, {})
})

test('a package that takes memory outside the heap is killed near its limit; so is one that fills the heap', async t => {
  const { host, packages } = await bench(t)
  const memoryMb = 100
  const eat = (what: string): string =>
    `register('order.paid@1', () => { const held = []; setInterval(() => held.push(${what}), 5); return new Promise(() => {}) })`
  await host.set([
    await packages.write({
      name: 'buffers',
      memoryMb,
      hooks: [{ hook: paid.name, kind: 'on' }],
      start: eat('Buffer.alloc(2 ** 21, 1)'),
    }),
    await packages.write({
      name: 'objects',
      memoryMb,
      hooks: [{ hook: paid.name, kind: 'on' }],
      start: eat('Array.from({ length: 100_000 }, (_, i) => ({ i }))'),
    }),
  ])
  await Promise.allSettled(['buffers', 'objects'].map(name => host.deliver(paid, name, { id: 'e', data: {} })))
  await eventually('both died', () => host.status().every(each => each.restarts === 1))
  t.match(state(host, 'buffers'), { lastError: /MiB of memory; 100 are allowed/ })
  t.ok((state(host, 'buffers')?.memoryBytes ?? 0) < 2 * memoryMb * 1_048_576, 'it never had twice its limit')
  t.match(state(host, 'objects')?.lastError, /memory/)
})

test('a process that sends a gigabyte, or noise, is killed, and its host keeps its memory', async t => {
  const { host, packages } = await bench(t)
  const raw = (bytes: string): string => `register('order.paid@1', async () => {
    const { Socket } = await import('node:net'); const fs = await import('node:fs')
    const bytes = ${bytes}; for (let n = 0; n < 1024; n++) fs.writeSync(3, bytes) })`
  await host.set([
    await packages.write({
      name: 'huge',
      hooks: [{ hook: paid.name, kind: 'on' }],
      start: raw('Buffer.alloc(2 ** 20, 0x20)'),
    }),
    await packages.write({
      name: 'noise',
      hooks: [{ hook: paid.name, kind: 'on' }],
      start: raw('Buffer.from([0, 0, 0, 3, 1, 2, 3])'),
    }),
    await packages.write({
      name: 'answer',
      hooks: [{ hook: section.name, kind: 'view' }],
      start: "register('console.section@1', () => 'x'.repeat(2 ** 21))",
    }),
  ])
  const before = process.memoryUsage.rss()
  await Promise.allSettled(['huge', 'noise'].map(name => host.deliver(paid, name, { id: 'e', data: {} })))
  t.same(await host.views(section, {}), [])
  await eventually('both were killed', () =>
    ['huge', 'noise'].every(name => /not a frame/.test(state(host, name)?.lastError ?? '')),
  )
  t.ok(process.memoryUsage.rss() - before < 100_000_000)
  t.match(state(host, 'answer'), { state: 'ready', lastError: /cannot be sent/ })
})

test('what does not start says why', async t => {
  const { host, packages } = await bench(t)
  const cases: [string, string, RegExp][] = [
    ['broken', 'this is not JavaScript', /did not start: /],
    ['throws-at-start', "throw new Error('no licence')", /did not start: no licence/],
    ['forgets', '', /did not register pricing\.quote@1/],
    ['invents', "register('order.place@1', () => {})", /the manifest does not name hook order\.place@1/],
    ['twice', `${plus(1)};${plus(2)}`, /has a handler already/],
    ['not-a-function', "register('pricing.quote@1', 5)", /is not a function/],
  ]
  await host.set(await Promise.all(cases.map(([name, start]) => packages.write({ name, hooks: [quote()], start }))))
  for (const [name, , expected] of cases) t.match(state(host, name)?.lastError, expected, name)
  t.same(await host.transform(transform, { n: 1 }), { n: 1 }, 'an open failure mode goes on without them')
})

test('a package may import the platform beside it, keep state, log and read its configuration', async t => {
  const { host, packages, logs } = await bench(t)
  await mkdir(join(packages.root, 'node_modules/@aaas'), { recursive: true })
  await symlink(
    fileURLToPath(new URL('../../..', import.meta.url)),
    join(packages.root, 'node_modules/@aaas/core-cloud'),
  )
  await host.set([
    await packages.write({
      name: 'counter',
      hooks: [
        { hook: paid.name, kind: 'on', deadlineMs: 2_000 },
        { hook: validate.name, kind: 'validate' },
      ],
      top: "import { defineCloudware } from '@aaas/core-cloud/cloudware'\nif (typeof defineCloudware !== 'function') throw new Error('no platform')",
      config: { max: 2 },
      start: `
        register('order.paid@1', async (event, { eventId }) => {
          await state.incrementOnce('sum', event.total, eventId)
          logger.child({ part: 'sum' }).info('counted', { sum: await state.get('sum') })
        })
        register('order.place@1', ({ n }) => n > config.max ? { ok: false, message: 'too many', field: 'n' } : { ok: true })`,
    }),
  ])
  for (const id of ['a', 'b', 'a']) await host.deliver(paid, 'counter', { id, data: { total: 5 } })
  t.match(
    logs.filter(({ message }) => message === 'counted').map(({ fields }) => fields),
    [{ package: 'counter', part: 'sum', sum: 5 }, { sum: 10 }, { sum: 10 }],
  )
  await host.validate(validate, { n: 2 })
  t.match(await refusal(host.validate(validate, { n: 3 })), {
    code: 'core.cloudware.vetoed',
    message: 'too many',
    field: 'n',
  })
})

test('hot replacement under load: no call fails, none is answered by a mixture', async t => {
  const { host, packages } = await bench(t)
  const version = (n: number) =>
    packages.write({
      name: 'price',
      version: `1.0.${n}`,
      hooks: [quote({ failure: 'closed', deadlineMs: 5_000 })],
      start: `register('pricing.quote@1', async v => { await new Promise(done => setTimeout(done, v.n % 5)); return { n: ${n} } })`,
    })
  await host.set([await version(0)])
  let running = true
  const answers: number[] = []
  const failures: unknown[] = []
  const callers = Array.from({ length: 16 }, async (_, caller) => {
    for (let n = 0; running && failures.length === 0; n++) {
      await host.transform(transform, { n: n + caller }).then(
        ({ n: by }) => answers.push(by),
        error => failures.push(error),
      )
    }
  })
  for (let n = 1; n <= 5; n++) {
    await host.set([await version(n)])
    const seen = answers.length
    await eventually('calls after the switch', () => answers.length > seen + 100)
    t.ok(
      answers.slice(seen + 16).every(by => by === n),
      `only version ${n} answers after its set`,
    )
  }
  running = false
  await Promise.all(callers)
  t.same(failures, [])
  t.ok(answers.length > 500, `${answers.length} calls`)
  t.equal(host.status().length, 1)
  t.match(host.status(), [{ version: '1.0.5', failures: 0, restarts: 0 }])
})

test('adding and removing under load: no call fails', async t => {
  const { host, packages } = await bench(t)
  const loaded = await packages.write({
    name: 'price',
    hooks: [quote({ failure: 'closed', deadlineMs: 5_000 })],
    start: plus(1),
  })
  let running = true
  const seen = new Set<number>()
  const failures: unknown[] = []
  const callers = Array.from({ length: 8 }, async () => {
    for (; running && failures.length === 0; await wait(0))
      await host.transform(transform, { n: 1 }).then(
        ({ n }) => seen.add(n),
        error => failures.push(error),
      )
  })
  for (let round = 0; round < 4; round++) {
    await host.set([loaded])
    t.same(await host.transform(transform, { n: 1 }), { n: 2 })
    await host.set([])
    t.notOk(host.has(transform.name))
    t.same(await host.transform(transform, { n: 1 }), { n: 1 })
  }
  running = false
  await Promise.all(callers)
  t.same(failures, [])
  t.same([...seen].sort(), [1, 2])
})

test('processes end with their host, even one in a busy loop when the host is killed', {
  skip: process.platform !== 'linux' && 'needs a death signal',
}, async t => {
  const parent = spawn(process.execPath, [fileURLToPath(new URL('./fixture/host-main.js', import.meta.url))], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => parent.kill('SIGKILL'))
  const [line] = (await once(parent.stdout.setEncoding('utf8'), 'data')) as [string]
  const pids = JSON.parse(line) as number[]
  t.equal(pids.length, 2)
  t.ok(pids.every(alive))
  parent.kill('SIGKILL')
  await eventually('they are gone', () => !pids.some(alive))
})
