// 16 callers, a handler of 20 ms, 30 planned replacements of the callee under load, on every driver with its default
// settings: no call may fail, and every answer must be the one of its call. Over a unix socket, directly and over NATS the
// callees are processes; a new one is started and reports ready before the old one is told to stop.
import { fork } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { listenBus, memoryBus } from '../../packages/core-cloud/dist/src/bus/index.js'
import { busClient, serveContract } from '../../packages/core-cloud/dist/src/contract/index.js'
import { silentLogger as logger, systemClock, systemIds } from '../../packages/core-cloud/dist/src/kernel/index.js'
import { findTestEngine, startNats } from '../../packages/testing/dist/src/index.js'
import { openSwapBus, swapContract } from './_swap.mjs'

const callers = 16
const replacements = 30
const prefix = 'service.swap'
const clock = systemClock({ keepAlive: true })
const ids = systemIds()

export async function verify({ say }) {
  const figures = {}
  for (const [name, run] of Object.entries({ memory, unix, direct, nats })) {
    const figure = await run()
    figures[name] = figure
    say(
      figure.skipped ??
        `${name}: ${figure.calls} calls, ${figure.failed} failed, ${figure.callees} callees answered, ${figure.seconds} s`,
    )
    for (const sample of figure.samples ?? []) say(`  ${sample}`)
  }
  const ran = Object.values(figures).filter(({ skipped }) => skipped === undefined)
  return { ok: ran.every(({ failed, callees }) => failed === 0 && callees === replacements + 1), ...figures }
}

async function memory() {
  const bus = memoryBus({ clock })
  let number = 0
  return underLoad(bus, async () => {
    const pid = ++number
    const handlers = {
      async work({ number }) {
        await setTimeout(20)
        return { number, pid }
      },
    }
    const served = await serveContract({ bus, contract: swapContract, handlers, prefix, clock, logger })
    return () => served.drain()
  })
}

const unix = () => overHub('unix')

async function direct() {
  const figure = await overHub('direct')
  // Measured is what went directly.
  return figure.ways.direct > figure.calls / 2 ? figure : { ...figure, failed: figure.failed + 1 }
}

async function overHub(driver) {
  const folder = mkdtempSync(join(tmpdir(), 'aaas-swap-'))
  const socketPath = join(folder, 'hub')
  const authenticate = name => ({ name, kind: 'service', publish: ['>'], subscribe: ['>'] })
  const { privateKey } = generateKeyPairSync('ed25519')
  writeFileSync(join(folder, 'issuer.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  const hub = await listenBus({ socketPath, clock, logger, authenticate })
  const bus = await openSwapBus(driver, socketPath, 'caller')
  try {
    const figure = await underLoad(bus, () => startCallee(driver, socketPath))
    if (driver !== 'direct') return figure
    const { direct, otherWay } = bus.info()
    return { ...figure, ways: { direct, otherWay } }
  } finally {
    for (const part of [bus, hub]) await part[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function nats() {
  const program = findTestEngine('nats')
  if ('skip' in program) return { skipped: `nats: ${program.skip}` }
  const servers = await startNats({ program: program.path, streams: false })
  try {
    const bus = await openSwapBus('nats', servers.urls[0], 'caller')
    try {
      return await underLoad(bus, () => startCallee('nats', servers.urls[0]))
    } finally {
      await bus[Symbol.asyncDispose]()
    }
  } finally {
    await servers[Symbol.asyncDispose]()
  }
}

/** @param start - starts a callee and gives what stops it. */
async function underLoad(bus, start) {
  const client = busClient({ bus, contract: swapContract, prefix, clock, ids })
  const result = { calls: 0, failed: 0, samples: [] }
  const pids = new Set()
  let stop = await start()
  let over = false
  const began = clock.monotonic()
  const calling = Array.from({ length: callers }, async () => {
    while (!over) {
      const number = result.calls++
      try {
        const answer = await client.work({ number })
        if (answer.number !== number) throw new Error(`the answer of ${answer.number} came for ${number}`)
        pids.add(answer.pid)
      } catch (error) {
        result.failed += 1
        if (result.samples.length < 5) result.samples.push(String(error))
      }
    }
  })
  for (let turn = 0; turn < replacements; turn++) {
    const next = await start()
    await stop()
    stop = next
    // A few rounds of calls that only the new one can answer.
    await setTimeout(60)
  }
  over = true
  await Promise.all(calling)
  await stop()
  const seconds = Math.round((clock.monotonic() - began) / 100) / 10
  return { ...result, callees: pids.size, seconds }
}

async function startCallee(driver, address) {
  const child = fork(fileURLToPath(new URL('_swap-callee.mjs', import.meta.url)), [driver, address])
  const [message] = await Promise.race([once(child, 'message'), once(child, 'exit')])
  if (message !== 'ready') throw new Error('a callee ended before it was ready')
  return async () => {
    const gone = once(child, 'exit')
    child.send('stop')
    const [code] = await gone
    if (code !== 0) throw new Error(`a callee ended with ${code}`)
  }
}
