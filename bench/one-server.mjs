// One private PostgreSQL for everybody whom a benchmark measures: none then has a better database than another.
import { fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { silentLogger, systemClock, systemIds } from '../packages/core-cloud/dist/src/kernel/index.js'
import { createDatabase, pgDatabase, startPostgres } from '../packages/support-cloud/dist/src/rdbms/index.js'

/**
 * Runs `work` beside a fresh server. However it ends, by itself, by failing, by a signal or after `minutes`, all that was
 * named to `atEnd` is stopped, last first, then the server, and the folder is removed.
 */
export async function onOneServer({ minutes, say, engine = 'auto' }, work) {
  const dir = mkdtempSync(join(tmpdir(), 'aaas-b-'))
  const stops = []
  let over = false
  const stopped = stop => stop().catch(error => say(`not stopped: ${error.message}`))
  // What was still starting when the end came is stopped as soon as it has started.
  const atEnd = async stop => (over ? stopped(stop) : void stops.push(stop))
  const begin = async () => {
    const postgres = await startPostgres({
      dataDir: join(dir, 'data'),
      socketDir: join(dir, 'run'),
      clock: systemClock({ keepAlive: true }),
      ids: systemIds(),
      logger: silentLogger,
      engine,
    })
    await atEnd(() => postgres[Symbol.asyncDispose]())
    return work({ dir, url: postgres.url, atEnd, database: name => newDatabase(postgres.url, name) })
  }
  const end = endFromOutside(minutes)
  const working = begin()
  try {
    return await Promise.race([working, end.reached])
  } finally {
    end.forget()
    over = true
    for (const stop of stops.reverse()) await stopped(stop)
    await Promise.race([working.catch(() => undefined), pause(30_000, undefined, { ref: false })])
    rmSync(dir, { recursive: true, force: true })
  }
}

function endFromOutside(minutes) {
  let reject
  const reached = new Promise((_, fail) => {
    reject = fail
  })
  const interrupted = signal => reject(new Error(`interrupted by ${signal}`))
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) process.on(signal, interrupted)
  const timer = setTimeout(() => reject(new Error(`gave up after ${minutes} minutes`)), minutes * 60_000)
  return {
    reached,
    forget: () => {
      clearTimeout(timer)
      for (const signal of signals) process.off(signal, interrupted)
    },
  }
}

async function newDatabase(adminUrl, name) {
  const admin = pgDatabase({ url: adminUrl, maxConnections: 1 })
  await createDatabase({ admin, name })
  await admin[Symbol.asyncDispose]()
  const url = new URL(adminUrl)
  url.pathname = `/${name}`
  return url
}

/**
 * Starts a program of Node, which runs until the end of the benchmark, and waits until it is `ready`, by default for its
 * first message.
 * @param options.seconds - until it must be.
 * @returns what it was ready with.
 */
export async function startProgram({ ready, ...options }) {
  const { child, ended, inTime } = launch(options)
  const first = ready?.() ?? new Promise(resolve => child.once('message', resolve))
  const early = ended.then(code => Promise.reject(new Error(`ended with ${code}`)))
  return inTime(Promise.race([first, early]))
}

/**
 * Runs a program of Node to its end, which must be a good one.
 * @returns its last message.
 */
export async function runProgram(options) {
  const { child, ended, inTime } = launch(options)
  let last
  child.on('message', message => {
    last = message
  })
  await inTime(ended.then(code => (code === 0 ? undefined : Promise.reject(new Error(`ended with ${code}`)))))
  return last
}

function launch({ what, file, args = [], cwd, env = {}, seconds, atEnd }) {
  // A database of whoever runs the benchmark is nobody's here.
  const { DATABASE_URL: _, ...inherited } = process.env
  const child = fork(file, args, { cwd, env: { ...inherited, ...env }, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', part => {
      said = (said + part).slice(-3000)
    })
  }
  const ended = new Promise(resolve => child.once('exit', (code, signal) => resolve(code ?? signal)))
  const timer = ms => pause(ms, undefined, { ref: false })
  const stop = async () => {
    child.kill('SIGTERM')
    await Promise.race([ended, timer(10_000).then(() => child.kill('SIGKILL'))])
    await ended
  }
  const registered = atEnd(stop)
  /** Waits for the work, `seconds` at the longest; a program that disappoints is stopped. */
  const inTime = async work => {
    try {
      const late = timer(seconds * 1000).then(() => Promise.reject(new Error('took too long')))
      const [value] = await Promise.all([Promise.race([work, late]), registered])
      return value
    } catch (error) {
      await stop()
      throw new Error(`${what}: ${error.message}\n${said}`)
    }
  }
  return { child, ended, inTime }
}
