// Producers and consumers over a durable stream while all of them and the server are killed (-9) in turn. Nothing that was
// acknowledged may be missing, nothing may be applied twice, and each key keeps its order.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const stream = 'loss'
const keyCount = 512
const producers = 2
const consumers = 2
const role = new URL('_loss-role.mjs', import.meta.url).href

/** Starts a module with arguments and waits until it says that it is ready. */
export async function forkReady(module, name, settings) {
  const child = fork(fileURLToPath(module), [name, JSON.stringify(settings)])
  const [message] = await Promise.race([once(child, 'message'), once(child, 'exit')])
  if (message !== 'ready') throw new Error(`${name} ended before it was ready`)
  return child
}

/** Kills without warning and waits for the end. */
export async function killed(child) {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

/**
 * @param driver - `start()` and `kill()` of the server; `module`, which exports `connect(settings, name)` for clients,
 *   and their `settings`; the `durability` of the stream; `forgetsSettled` when a killed server may deliver again what
 *   was settled just before; `dispose()` when there is more to end than `kill()` does.
 * @param messages - how many are published, at least.
 * @param kills - how often something is killed, at equal distances of settled messages; every second time the server.
 * @param deadlineMs - of the whole; passing it is a failure.
 */
export async function lossScenario({ driver, folder, messages, kills: planned, deadlineMs, say }) {
  const perKey = Math.ceil(messages / keyCount)
  const inbox = `${folder}/inbox`
  mkdirSync(inbox, { recursive: true })
  await driver.start()
  const { connect } = await import(driver.module)
  const streams = await connect(driver.settings, 'watcher')
  await streams.ensure({ name: stream, subjects: [`${stream}.>`], durability: driver.durability, dedupMs: 3_600_000 })
  const keys = Array.from({ length: keyCount }, (_, index) => `k${index}`)
  const base = { module: driver.module, driver: driver.settings, stream, inbox }
  const parts = []
  for (let index = 0; index < producers; index++) {
    const own = keys.filter((_, place) => place % producers === index)
    const settings = { ...base, name: `p${index}`, journal: `${folder}/journal-${index}`, keys: own, perKey }
    parts.push(new Part('producer', settings))
  }
  for (let index = 0; index < consumers; index++) parts.push(new Part('consumer', { ...base, name: `c${index}` }))
  for (let index = 0; index < 2; index++) parts.push(new Part('ordered', { ...base, name: `o${index}`, key: keys[0] }))
  await Promise.all(parts.map(part => part.start()))
  const started = performance.now()
  const kills = await killInTurn({ driver, parts, streams, planned, deadlineMs, say, perKey })
  const seconds = (performance.now() - started) / 1_000
  await Promise.all(parts.map(part => part.stop()))
  await streams[Symbol.asyncDispose]()
  await driver.kill()
  await driver.dispose?.()
  const result = judge({ folder, inbox, keys, perKey, forgetsSettled: driver.forgetsSettled === true })
  // Whatever was never killed was not tried.
  const ok = result.ok && Object.values(kills).every(count => count > 0)
  const perSecond = Math.round(result.messages / seconds)
  say(`${driver.name}: ${JSON.stringify({ ...result, kills, perSecond })}`)
  return { ...result, ok, driver: driver.name, kills, seconds: Math.round(seconds * 10) / 10, perSecond }
}

/** A process that is started again when it was killed, until its work is done. */
class Part {
  done = false
  #child
  #upTo = 0

  constructor(kind, settings) {
    this.kind = kind
    this.settings = settings
  }

  async start() {
    const child = await forkReady(role, this.kind, this.settings)
    child.on('message', message => {
      if (message === 'done') this.done = true
    })
    this.#child = child
    if (this.kind === 'producer') this.allow(this.#upTo)
  }

  /** Lets a producer send the messages of its keys up to a number. */
  allow(upTo) {
    this.#upTo = upTo
    if (this.#child.connected) this.#child.send({ upTo }, () => undefined)
  }

  async killAndStart() {
    await killed(this.#child)
    await this.start()
  }

  stop() {
    return killed(this.#child)
  }
}

async function killInTurn({ driver, parts, streams, planned, deadlineMs, say, perKey }) {
  const kills = { server: 0, producer: 0, consumer: 0, ordered: 0 }
  const total = perKey * keyCount
  const step = total / (planned + 1)
  const end = Date.now() + deadlineMs
  const makers = parts.filter(part => part.kind === 'producer')
  let turn = 0
  let settled = 0
  for (;;) {
    const info = await streams.consumerInfo(stream, 'applied').catch(() => undefined)
    const ordered = await streams.consumerInfo(stream, 'ordered').catch(() => undefined)
    settled = Math.max(settled, info?.settledSequence ?? 0)
    const rest = [info, ordered].map(one => (one === undefined ? Number.NaN : one.pending + one.unsettled))
    if (makers.every(part => part.done) && rest.every(count => count === 0)) return kills
    if (Date.now() > end) throw new Error(`not done in time: ${JSON.stringify({ settled, rest, kills })}`)
    // Producers wait before they are two kills ahead: whatever is killed is killed at work.
    const upTo = Math.min(perKey, Math.ceil(((turn + 2) * step) / keyCount))
    for (const part of makers) part.allow(upTo)
    if (turn >= planned || settled < (turn + 1) * step) {
      await new Promise(resolve => setTimeout(resolve, 50))
      continue
    }
    if (turn % 10 === 0) say(`${driver.name}: ${settled} of ${total} are settled, ${JSON.stringify(kills)}`)
    // Every second time the server; else one after the other.
    const part = parts[(turn >> 1) % parts.length]
    if (turn % 2 === 0) {
      await driver.kill()
      await driver.start()
      kills.server += 1
    } else if (!part.done) {
      await part.killAndStart()
      kills[part.kind] += 1
    }
    turn += 1
  }
}

function judge({ folder, inbox, keys, perKey, forgetsSettled }) {
  /** Per key: sequence by number. */
  const applied = new Map(keys.map(key => [key, new Map()]))
  let twice = 0
  let damaged = 0
  for (const part of readdirSync(inbox)) {
    if (!/^\d+$/.test(part)) continue
    for (const sequence of readdirSync(`${inbox}/${part}`)) {
      const text = readlinkSync(`${inbox}/${part}/${sequence}`)
      const { key, n } = parse(text)
      const numbers = applied.get(key)
      if (numbers === undefined) damaged += 1
      else if (numbers.has(n)) twice += 1
      else numbers.set(n, Number(sequence))
    }
  }
  let lost = 0
  let outOfOrder = 0
  for (const numbers of applied.values()) {
    for (let n = 1; n <= perKey; n++) {
      if (!numbers.has(n)) lost += 1
      else if (n > 1 && numbers.get(n) < numbers.get(n - 1)) outOfOrder += 1
    }
  }
  let acknowledged = 0
  let wrongAck = 0
  for (let index = 0; index < producers; index++) {
    for (const line of readFileSync(`${folder}/journal-${index}`, 'utf8').split('\n')) {
      const [key, n, sequence] = line.split(' ')
      if (sequence === undefined) continue
      acknowledged += 1
      if (applied.get(key)?.get(Number(n)) !== Number(sequence)) wrongAck += 1
    }
  }
  const repeatedFile = `${inbox}/repeated`
  const repeated = existsSync(repeatedFile) ? readFileSync(repeatedFile, 'utf8').split('\n').length - 1 : 0
  const ordered = inOrder(`${inbox}/ordered`, perKey, forgetsSettled)
  const total = keys.length * perKey
  const ok = lost + twice + damaged + outOfOrder + wrongAck === 0 && ordered.ok && acknowledged >= total
  return {
    ok,
    messages: total,
    acknowledged,
    lost,
    appliedTwice: twice,
    outOfOrder,
    wrongAck,
    damaged,
    repeated,
    ordered,
  }
}

/**
 * The consumer of one message at a time: repetitions of the last one may be there, nothing else; of a server that forgets
 * what was settled just before it was killed, repetitions of some more.
 */
function inOrder(file, perKey, forgetsSettled) {
  let last = 0
  let wrong = 0
  let repeated = 0
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const n = Number(line.split(' ')[1])
    if (line === '') continue
    if (n === last || (forgetsSettled && n < last)) repeated += 1
    else if (n === last + 1) last = n
    else wrong += 1
  }
  return { ok: wrong === 0 && last === perKey, wrong, repeated, last }
}

function parse(text) {
  try {
    return JSON.parse(text)
  } catch {
    return { key: '', n: 0 }
  }
}
