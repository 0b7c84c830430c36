// What a replicated log costs at least: a leader and two followers on raw TCP, one synchronous write a batch on every
// node, an entry counts when a majority has it. No terms, no election, no checks. `floor.mjs DIR leader|follower`.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, fsyncSync, openSync, write, writeSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const entryBytes = 256
const logBytes = 64 * 1024 * 1024
const [dir, role] = process.argv.slice(2)

/** A preallocated file, written in turns: what came while a write was under way is the next one. */
class Log {
  #fd
  #at = 0
  #waiting = []
  #busy = false

  constructor(path) {
    const fd = openSync(path, 'w')
    for (let at = 0; at < logBytes; at += 1 << 20) writeSync(fd, Buffer.alloc(1 << 20))
    fsyncSync(fd)
    closeSync(fd)
    this.#fd = openSync(path, constants.O_WRONLY | constants.O_DSYNC)
  }

  append(bytes, done) {
    this.#waiting.push({ bytes, done })
    if (!this.#busy) this.#next()
  }

  #next() {
    const turn = this.#waiting
    if (turn.length === 0) return
    this.#waiting = []
    this.#busy = true
    const bytes = turn.length === 1 ? turn[0].bytes : Buffer.concat(turn.map(work => work.bytes))
    if (this.#at + bytes.length > logBytes) this.#at = 0
    const from = this.#at
    this.#at += bytes.length
    write(this.#fd, bytes, 0, bytes.length, from, error => {
      if (error) throw error
      this.#busy = false
      for (const { done } of turn) done()
      this.#next()
    })
  }
}

function follow() {
  const log = new Log(join(dir, `floor-${process.pid}`))
  const server = createServer(socket => {
    socket.setNoDelay(true)
    let rest = Buffer.alloc(0)
    socket.on('data', chunk => {
      const all = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      const whole = all.length - (all.length % entryBytes)
      rest = all.subarray(whole)
      if (whole === 0) return
      log.append(all.subarray(0, whole), () => {
        const answer = Buffer.allocUnsafe(4)
        answer.writeUInt32LE(all.readUInt32LE(whole - entryBytes))
        socket.write(answer)
      })
    })
  })
  server.listen(0, '127.0.0.1', () => process.send(server.address().port))
}

async function lead() {
  const log = new Log(join(dir, `floor-${process.pid}`))
  const match = [0, 0, 0]
  const waiting = new Map()
  let last = 0
  let committed = 0
  const advance = (place, index) => {
    match[place] = Math.max(match[place], index)
    const majority = [...match].sort((a, b) => a - b)[1]
    for (; committed < majority; committed++) {
      waiting.get(committed + 1)()
      waiting.delete(committed + 1)
    }
  }
  const sockets = []
  for (const place of [1, 2]) {
    const child = fork(fileURLToPath(import.meta.url), [dir, 'follower'])
    process.on('exit', () => child.kill('SIGKILL'))
    const [port] = await once(child, 'message')
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    socket.setNoDelay(true)
    let rest = Buffer.alloc(0)
    socket.on('data', chunk => {
      const all = Buffer.concat([rest, chunk])
      const whole = all.length - (all.length % 4)
      rest = all.subarray(whole)
      if (whole > 0) advance(place, all.readUInt32LE(whole - 4))
    })
    sockets.push(socket)
  }
  let batch = []
  const flush = () => {
    const bytes = Buffer.concat(batch)
    const upTo = last
    batch = []
    for (const socket of sockets) socket.write(bytes)
    log.append(bytes, () => advance(0, upTo))
  }
  const propose = () =>
    new Promise(resolve => {
      const entry = Buffer.alloc(entryBytes)
      entry.writeUInt32LE(++last)
      waiting.set(last, resolve)
      if (batch.push(entry) === 1) setImmediate(flush)
    })
  process.on('message', async ({ proposers, ms }) => {
    const times = []
    const begin = performance.now()
    const one = async () => {
      while (performance.now() - begin < ms) {
        const from = performance.now()
        await propose()
        times.push(performance.now() - from)
      }
    }
    await Promise.all(Array.from({ length: proposers }, one))
    const took = performance.now() - begin
    times.sort((a, b) => a - b)
    const at = q => times[Math.floor(times.length * q)]
    process.send({ loaded: { perSecond: (times.length / took) * 1_000, p50: at(0.5), p99: at(0.99) } })
  })
  process.send({ ready: true })
}

process.on('disconnect', () => process.exit(0))
if (role === 'follower') follow()
else await lead()
